"""Which trainings are repeated: the ablation's plain QAT at several bits, and in float."""

from collections.abc import Iterable

from msgspec.structs import replace

from benchmarks import ablation
from benchmarks.matrix import DEFAULT_SEEDS, Cell
from benchmarks.settings import Settings, SettingsError
from qkd.spec import NUMERICS, Bits
from qkd.training.portable import VARIABLES

BITS = tuple(Bits(weight=bits, activation=bits) for bits in (2, 4, 8))
METHODS = ("qat", "fp-tuned")  # the same steps, quantized and not

# Of each instruction set the variables that a process begins with. The first is what a processor
# takes by itself, the second PORTABLE=1, the last what every x86-64 processor has.
INSTRUCTIONS: dict[str, dict[str, str]] = {
    "as it comes": {},
    "AVX2": VARIABLES,
    "SSE4.1": {
        "ATEN_CPU_CAPABILITY": "default",
        "ONEDNN_MAX_CPU_ISA": "SSE41",
        "MKL_CBWR": "COMPATIBLE",
    },
}


def cells_of(settings: Settings) -> list[Cell]:
    """A cell for each bits and seed, quantized ones first; with the ids of the ablation's own.

    Raises SettingsError for SCALE=paper, which takes weeks.
    """
    if settings.scale == "paper":
        raise SettingsError("make repeatability is for SCALE=laptop, or smoke: not paper")
    seeds = settings.seeds or DEFAULT_SEEDS[settings.scale]
    matrix = ablation.matrix(settings.scale, seeds)
    (grid,) = matrix.grids
    methods = tuple(method for method in grid.methods if method.name in METHODS)
    grid = replace(grid, bits=BITS, methods=methods)
    return _quantized_first(replace(matrix, grids=(grid,), numerics=NUMERICS).cells())


def label_of(cell: Cell) -> str:
    """The bits: ``W2A2``, or ``FP``."""
    return cell.bits.label if cell.bits else "FP"


def _quantized_first(cells: Iterable[Cell]) -> list[Cell]:
    return sorted(cells, key=lambda cell: cell.weight_bits)
