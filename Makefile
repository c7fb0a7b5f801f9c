# QKD, reproduced. `make` alone prints this help. Needs git, make, Python 3.11 or newer with venv.

VARIABLES := MATRIX SCALE DATA RESULTS REPORT SEEDS ONLY PRECISION TEACHER_PRECISION JOBS THREADS COMPILE LEAN PORTABLE LOADERS MICROBATCHES LOGITS STAGE ACCEPT CLUSTER PACK DRYRUN BASELINE PYTHON
GIVEN := $(foreach name,$(.VARIABLES),$(if $(filter command,$(firstword $(origin $(name)))),$(name)))
UNKNOWN := $(filter-out $(VARIABLES) MAKECMDGOALS,$(GIVEN))
ifneq ($(UNKNOWN),)
$(error unknown variable $(UNKNOWN): it may be $(VARIABLES))
endif

# Values reach Python through the environment as they were typed: $(value ...) keeps make from
# expanding them, and no recipe passes them through a shell.
unexport $(VARIABLES)
$(foreach name,$(filter-out PYTHON,$(VARIABLES)),$(eval export QKD_$(name) := $$(value $(name))))
export QKD_PYTHON := $(or $(value PYTHON),python3)

RUN := .venv/bin/python
LAUNCH := $(RUN) -m slurm.launch
READY := .venv/ready
# A process that is lost ends the run: by default what it had left is never handed out, and all wait.
PROCESSES := --numprocesses auto --maxprocesses 4 --dist loadfile --max-worker-restart 0

.PHONY: help setup ablation rivals reproduce-cifar reproduce-imagenet run plan status retry cancel report export doctor \
	picture speed export-speed repeatability torture peers consumers parquet test test-all lint clean clean-checkpoints clean-environment clean-data clean-records
.DEFAULT_GOAL := help

help:
	@sed -n 's/^## //p' Makefile

## make ablation           the ablation matrix, then report/index.html (half an hour on two cores)
## make rivals             others' quantizers under plain QAT and QKD (half an hour too)
## make reproduce-cifar    the CIFAR matrix, its images in DATA or fetched (a night on two cores)
## make reproduce-imagenet the ImageNet matrix's headline, its images in DATA (SCALE=paper: all)
## make run MATRIX=...     any matrix: ablation, rivals, cifar, imagenet, imagenet-100, tiny-imagenet,
##                         sensitivity, tuning, lengths, evidence, longer, cifar100, mobilenet,
##                         rivals-today, or the path of a .py file of your own
## make plan               what would run, what it costs with and without sharing, and its disk
## make status             what is done, running, missing, failed, blocked
## make retry              clear failures, so that the next run tries again
## make cancel             cancel the matrix's jobs on a cluster (CLUSTER=)
## make report             rebuild the report from the records
## make export STAGE=...   a done stage's networks in every form, each tried by the programs that run it;
##                         MATRIX=... ONLY=... instead: those of all its done cells
## make doctor             says what is missing and what mends it
## make speed              how fast training is here, against float and other libraries (20 min)
## make export-speed       how fast and how large exported students are, against float32 (10 min)
## make picture            the picture of the README, from the committed references (needs chromium)
## make repeatability      is another instruction set another seed? trains cells under each (half an hour)
## make torture            kills, hostile input, two launches at once, a full disk: what holds (12 min)
## make peers              install the other libraries that make speed measures beside ours
## make consumers          install the other programs that make export tries its files with
## make parquet            install what reads ImageNet's parquet files (pyarrow)
## make setup              install into .venv (every other target does it where needed)
## make test               every behaviour once; make test-all: all tests
## make lint               ruff, mypy and import-linter
## make clean              caches; clean-checkpoints: weights and logits no stage needs any more;
##                         clean-environment: .venv; clean-data: the data folder's caches;
##                         clean-records: all your records
##
## Variables: MATRIX=ablation  SCALE=smoke|laptop|headline|paper (laptop; of ImageNet headline)
##            DATA=data  RESULTS=results
##            REPORT=report/index.html  SEEDS=0,1,2  ONLY='method=qkd,qat bits=w2a2'
##            PRECISION=float32|tf32|bfloat16 (of training; default: the matrix's own)
##            TEACHER_PRECISION=float32|tf32|bfloat16 (of a frozen teacher; default: that of training)
##            JOBS= (workers; default: one for each core, on a GPU the number that make speed found best)
##            THREADS=1 (threads of each worker, on a CPU)
##            COMPILE=0|1 (torch.compile, for long runs: needs a C++ compiler and Python's headers)
##            LEAN=0|1 (no more memory than float training, for some more time; the same numbers)
##            PORTABLE=0|1 (the same numbers on every x86-64 processor with AVX2; default: 1 on those
##            without a GPU, at SCALE=smoke and laptop)
##            LOADERS=0 (processes of each worker that decode photos ahead; 0: the worker itself)
##            MICROBATCHES=1 (a batch in so many equal parts, one in memory at a time: make doctor says how many)
##            LOGITS=2 (GiB at most for logits of frozen teachers that stages share; 0: each asks its own)
##            STAGE= (a stage's digest, or its record's name or folder)
##            ACCEPT= (digests of code of yours, as make status shows them: no number depends on its change)
##            CLUSTER=slurm (run, plan, status, cancel on SLURM: slurm/README.md)  PACK=1 (stages a job)
##            DRYRUN=0|1 (show what would run, or be sent, and do nothing)
##            BASELINE= (a commit: make speed times it beside this tree, and compares their bits)

setup: $(READY)

$(READY): requirements.lock pyproject.toml
	@"$$QKD_PYTHON" slurm/doctor/machine.py
	"$$QKD_PYTHON" -m venv .venv
	$(RUN) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(RUN) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(READY)

NAMED := $(filter ablation rivals reproduce-cifar reproduce-imagenet,$(MAKECMDGOALS))
ifneq ($(NAMED),)
ifneq ($(filter-out $(NAMED:reproduce-%=%),$(value MATRIX)),)
$(error make $(NAMED) runs one matrix, $(NAMED:reproduce-%=%): for another one, make run MATRIX=...)
endif
endif
ablation: export QKD_MATRIX := ablation
rivals: export QKD_MATRIX := rivals
reproduce-cifar: export QKD_MATRIX := cifar
reproduce-imagenet: export QKD_MATRIX := imagenet
ablation rivals reproduce-cifar reproduce-imagenet run: $(READY)
	@$(LAUNCH) run; code=$$?; [ $$code -ge 2 ] || [ -n "$$QKD_CLUSTER" ] || [ "$$QKD_DRYRUN" = 1 ] || \
	  $(RUN) -m report || code=1; exit $$code

plan status retry cancel export doctor clean-checkpoints: $(READY)
	@$(LAUNCH) $@

report: $(READY)
	@$(RUN) -m report

picture: $(READY)
	@$(RUN) -m report.picture

speed: $(READY)
	@$(RUN) -m benchmarks.speed

export-speed: $(READY)
	@$(RUN) -m benchmarks.elsewhere

repeatability: $(READY)
	@$(RUN) -m benchmarks.repeatability

torture: $(READY)
	@$(RUN) -m benchmarks.torture

peers: $(READY)
	$(RUN) -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
		-r requirements-peers.lock

consumers: $(READY)
	$(RUN) -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
		-r requirements-consumers.lock

parquet: $(READY)
	$(RUN) -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
		-r requirements-parquet.lock

test: $(READY)
	@$(RUN) -m pytest $(PROCESSES) -m 'not slow and not emulated'

test-all: $(READY)
	@$(RUN) -m pytest $(PROCESSES)

lint: $(READY)
	@$(RUN) -m ruff check . && $(RUN) -m ruff format --check . && $(RUN) -m mypy
	@$(RUN) .venv/bin/lint-imports --no-cache --no-logo

clean:
	rm -rf .mypy_cache .pytest_cache .ruff_cache .hypothesis *.egg-info
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

clean-environment:
	rm -rf .venv

clean-data clean-records: $(READY)
	@$(LAUNCH) $@
