"""What a matrix plans, and the pre-trained networks that are committed."""

import json

from benchmarks.matrix import Cell, Matrix
from benchmarks.plan import Plan, Planned, plan
from qkd.records.record import PRETRAINED


def planned(matrix: Matrix, methods: tuple[str, ...] = (), bits: int = 0) -> Plan:
    """The stages of the matrix, or of some of its methods and bits."""

    def is_wanted(cell: Cell) -> bool:
        named = not methods or cell.method.name in methods
        return named and (not bits or cell.weight_bits == bits)

    cells = list(matrix.cells())
    return plan(cells, filter(is_wanted, cells))


def pretrained(matrix: Matrix) -> list[dict]:
    """The committed results of the pre-trainings that a matrix begins with, the student's first."""
    return [_result(one) for one in planned(matrix).stages.values() if not one.parents]


def _result(stage: Planned) -> dict:
    (file,) = PRETRAINED.glob(f"*-{stage.digest}/result.json")
    assert json.loads((file.parent / "env.json").read_bytes())["portable"]
    return dict(json.loads(file.read_bytes()))
