"""A matrix file for MATRIX=: plain QAT, plain KD and QKD at three bit widths and three seeds.

It is copied out of this folder and run by two trees, so that it takes no more of them than the
ablation.
"""

import msgspec

from benchmarks import ablation
from benchmarks.matrix import Matrix, ScaleName
from qkd.spec import Bits

BITS = tuple(Bits(weight=bits, activation=bits) for bits in (2, 3, 4))
METHODS = ("qat", "kd", "qkd")
DEFAULT_SEEDS = {"smoke": (0, 1, 2)}


def matrix(scale: ScaleName, seeds: tuple[int, ...]) -> Matrix:
    """The ablation's pair and recipe, fewer methods, more bits."""
    whole = ablation.matrix(scale, seeds)
    (grid,) = whole.grids
    methods = tuple(method for method in grid.methods if method.name in METHODS)
    grid = msgspec.structs.replace(grid, bits=BITS, methods=methods)
    return msgspec.structs.replace(whole, name="trio", grids=(grid,))
