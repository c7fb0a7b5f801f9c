"""The committed settings that the fixed analysis judges, in the order of its table."""

import pandas as pd

from tests.support.readmes import REFERENCE
from tests.support.setting import Setting

RUN = REFERENCE / "evidence"
_DONE = pd.read_csv(RUN / "cells.csv").query("status == 'done'")
_TUTORS = ("kd - qat", "kd-co-studied - kd", "qkd - qkd-original")


def _setting(matrix: str, bits: int, phases: tuple[str, ...]) -> Setting:
    cells = _DONE[(_DONE.matrix == matrix) & (_DONE.weight_bits == bits)]
    return Setting(RUN, cells, phases)


CIFAR10 = {
    bits: _setting("evidence", bits, phases) for bits, phases in ((2, _TUTORS), (4, _TUTORS[:1]))
}
CIFAR100 = _setting("cifar100", 2, _TUTORS[:1])
SETTINGS = (*CIFAR10.values(), CIFAR100)
