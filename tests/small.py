"""A history of each kind on the synthetic images, small enough for tests."""

import hashlib

import msgspec
import torch

from benchmarks.pairs import cifar_resnet, pretrained_pair
from qkd import checkpoint
from qkd.data.standard import SYNTHETIC
from qkd.history import grown
from qkd.phases import CO_STUDY, SELF_STUDY, TUTORING
from qkd.runtime import Runtime
from qkd.spec import Bits, History, Learner, Quantization, Recipe, Stage

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
    states = [loaded(one), loaded(other)]
    for key in ("digest", "step", "student", "teacher", "best"):
        assert same(states[0][key], states[1][key]), key


def lines(record):
    """The metrics without what the clock says."""
    clock = ("seconds", "images_per_second")
    return [{k: v for k, v in line.items() if k not in clock} for line in record.metrics()]


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
