"""A history of each kind on the synthetic images, small enough for tests."""

import hashlib
import json
import multiprocessing
import os
import shutil
import signal
from pathlib import Path

import msgspec
import torch

from benchmarks.pairs import cifar_resnet, pretrained_pair
from qkd.data.standard import SYNTHETIC
from qkd.phases import CO_STUDY, SELF_STUDY, TUTORING
from qkd.records.record import Store
from qkd.spec import NUMERICS, Bits, History, Learner, Quantization, Recipe, Stage
from qkd.spec.history import grown
from qkd.train import run_stage
from qkd.training import checkpoint
from qkd.training.runtime import Runtime

PAIR = pretrained_pair(
    cifar_resnet(8, width=4, channels=1, classes=10, size=16),
    cifar_resnet(8, width=6, channels=1, classes=10, size=16),
    SYNTHETIC,
    steps=12,
    log_every=6,
    batch=16,
)
RECIPE = Recipe(horizon=60, log_every=5, batch=16)
TEACHER = Learner(network=PAIR.teacher, start=PAIR.teacher_start)
W2A2 = Quantization(bits=Bits(weight=2, activation=2))


def history(*parts, **changes):
    """A W2A2 student after (phase, steps), ...; ``changes`` are fields of its recipe."""
    value = History(
        data=SYNTHETIC,
        student=Learner(network=PAIR.student, start=PAIR.student_start, quantization=W2A2),
        recipe=msgspec.structs.replace(RECIPE, **changes),
        seed=0,
        numerics=NUMERICS,
    )
    for phase, steps in parts:
        value = grown(value, phase, steps, TEACHER)
    return value


def stage(*parts, steps=None, **changes):
    """The last ``steps`` steps (by default the last part) of such a history."""
    value = history(*parts, **changes)
    return Stage(history=value, steps=steps or value.parts[-1].steps)


SELF_STUDIED = ((SELF_STUDY, 20),)
CO_STUDIED = (*SELF_STUDIED, (CO_STUDY, 20))
TUTORED = (*CO_STUDIED, (TUTORING, 10))


def starts():
    """The two pre-trainings."""
    return [Stage(history=h, steps=h.steps) for h in (PAIR.student_start, PAIR.teacher_start)]


def stages():
    """A whole QKD run, parents first."""
    return [*starts(), stage(*SELF_STUDIED), stage(*CO_STUDIED), stage(*TUTORED)]


def runtime(folder, **changes):
    return Runtime(data=str(folder), device="cpu", **changes)


def loaded(record):
    """The checkpoint of a record."""
    return checkpoint.load(record.checkpoint_file, record.digest)


def same(a, b):
    """Whether two checkpoints' contents are the same, tensors bit for bit."""
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and a == b


def assert_same_end(one, other):
    """Two records end in the same state, bit for bit: networks, momentum, intervals, best."""
    ends = [loaded(one), loaded(other)]
    for side in (end[name] for end in ends for name in ("student", "teacher") if end[name]):
        for group in side["optimiser"]["param_groups"] if side["optimiser"] else ():
            del group["lr"]  # of the last step; set anew before each step
    for key in ("digest", "step", "student", "teacher", "best"):
        assert same(ends[0][key], ends[1][key]), key


def written(record):
    """The lines of metrics.jsonl, as they stand there; none where there is no such file."""
    text = record.metrics_file.read_text() if record.metrics_file.exists() else ""
    return [json.loads(line) for line in text.splitlines()]


def lines(record):
    """The metrics without what the clock says."""
    clock = ("seconds", "images_per_second")
    return [{k: v for k, v in line.items() if k not in clock} for line in written(record)]


def scores(record):
    """The result without what the clock, the memory and the file's bytes say."""
    kept = ("steps", "student", "teacher", "held_out", "floor_hits")
    result = record.read_json(record.result_file)
    return {key: result[key] for key in kept if key in result}


def hashes(folder):
    """The sha256 of every file in a folder."""
    return {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.iterdir())
    }


def beginning(trained, folder, *parents):
    """A store in ``folder`` that holds copies of ``parents``' records, and nothing else."""
    for parent in parents:
        source = trained.record(parent).path
        shutil.copytree(source, folder / source.name)
    return Store(folder)


def run_and_be_killed(stage, root, runtime, moment):
    """Trains the stage in this process until ``moment`` = (what, n), the n-th of which kills it.

    ``step``: after the n-th step, before its save. ``fsync``: with a file written beside its
    place, or a line of metrics that no checkpoint knows of. ``replace``: just before a rename.
    """
    what, number = moment
    calls = iter(range(1, number))

    def count():
        if next(calls, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)
        return False

    def killing(original):
        def wrapped(*arguments):
            count()
            return original(*arguments)

        return wrapped

    if what == "fsync":
        os.fsync = killing(os.fsync)
    if what == "replace":
        Path.replace = killing(Path.replace)
    run_stage(stage, Store(root), runtime, should_stop=count if what == "step" else lambda: False)


processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload(["qkd.train", "benchmarks.pairs"])


def killed(stage, store, runtime, moment):
    """Runs the stage in a process of its own that SIGKILL ends at the moment."""
    arguments = (stage, store.root, runtime, moment)
    process = processes.Process(target=run_and_be_killed, args=arguments)
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL, moment
