"""`make test` is what a newcomer runs: some tests of every file. `make test-all` has all."""

import re

import pytest

from tests.support.launching import ROOT

# Files of which it has none, and why.
LEFT_OUT = {
    "tests/qkd/export/test_imagenet_onnx.py": "ImageNet's networks: exports of a minute each",
    "tests/report/test_scale.py": "a page of three hundred cells",
    "tests/slurm/cluster/test_slurm_failures.py": "jobs that train, on a SLURM",
    "tests/slurm/cluster/test_slurm_ranks.py": "jobs of two ranks, on a SLURM",
    "tests/slurm/cluster/test_slurm_survives.py": "jobs that are killed and go on, on a SLURM",
}


class Collected:
    """The files of which tests are chosen, and those of which some are not."""

    def __init__(self):
        self.chosen, self.left = set(), set()

    def pytest_deselected(self, items):
        self.left |= {item.location[0] for item in items}

    def pytest_collection_finish(self, session):
        self.chosen |= {item.location[0] for item in session.items}


def recipe(target):
    """What pytest is given by a target of the Makefile."""
    makefile = (ROOT / "Makefile").read_text()
    (found,) = re.findall(rf"^{target}:.*\n\t@\$\(RUN\) -m pytest(.*)$", makefile, re.MULTILINE)
    return found


def test_every_file_is_in_make_test_or_listed_with_a_reason():
    (marks,) = re.findall(r"-m '(.*)'", recipe("test"))
    collected = Collected()
    command = ["--collect-only", "-qq", "-p", "no:cacheprovider", "-m", marks, str(ROOT / "tests")]
    assert pytest.main(command, plugins=[collected]) == 0
    assert len(collected.chosen) > 100
    assert collected.left - collected.chosen == set(LEFT_OUT)


def test_make_test_all_leaves_out_nothing_but_what_every_call_of_pytest_does():
    assert recipe("test-all") == " $(PROCESSES)"
