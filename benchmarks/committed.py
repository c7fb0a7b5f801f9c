"""A run beside the committed one: do its cells end in the same bits? (torch-free)"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from msgspec.structs import replace

from benchmarks.matrix import Cell
from qkd.records.record import PRETRAINED, STAGES, BadRecord, Record, Store
from qkd.records.schema import Environment, Place, Result

REFERENCE = PRETRAINED.parent
SHOWN = 10


class Compared(NamedTuple):
    """A cell that is done in two stores: what it came to in each, and where.

    ``by_weights``: both have a digest of the weights. Else ``same`` is about what was counted on
    the test images, the answer to each where both have them, and the loss.
    """

    cell: Cell
    same: bool
    by_weights: bool
    ours: Result
    theirs: Result
    here: Environment
    there: Environment


class Comparison(NamedTuple):
    """The cells that both stores have, and how many of ours the other lacks."""

    cells: list[Compared]
    lacking: int

    @property
    def differing(self) -> list[Compared]:
        """The cells that are not the same."""
        return [one for one in self.cells if not one.same]


def committed(reference: Path = REFERENCE) -> Store:
    """The records of all committed runs."""
    first, *others = sorted(reference.glob(f"*/{STAGES}")) or [reference / STAGES]
    return Store(first, read_only=[*others, PRETRAINED])


def compare(cells: Iterable[Cell], ours: Store, theirs: Store) -> Comparison:
    """Every cell that is done in our store and not one record with theirs, beside theirs."""
    found, lacking = [], 0
    for cell in cells:
        own, other = ours.found(cell.history), theirs.found(cell.history)
        result = ours.result(cell.history) if own is not None else None
        if own is None or result is None:
            continue
        if other is not None and own.path.resolve() == other.path.resolve():
            continue  # committed networks that a run begins with
        known = theirs.result(cell.history)
        if other is None or known is None:
            lacking += 1
            continue
        by_weights = bool(result.weights_sha256 and known.weights_sha256)
        found.append(
            Compared(
                cell,
                _same(result, known, by_weights),
                by_weights,
                result,
                known,
                _environment(own),
                _environment(other),
            )
        )
    return Comparison(found, lacking)


def in_words(comparison: Comparison) -> Iterator[str]:
    """The comparison in lines: one where all is the same, none where nothing can be compared."""
    cells, differing = comparison.cells, comparison.differing
    if not cells:
        return
    count = f"{len(cells)} cells" + (" that both have" if comparison.lacking else "")
    if not differing:
        unknown = sum(not one.by_weights for one in cells)
        if not unknown:
            yield f"all {count} equal the committed run, bit for bit"
        else:
            yield (
                f"all {count} have the committed run's numbers; whether the weights of {unknown} "
                "are the same is not known, as a record has no digest of them"
            )
        return
    yield f"{len(differing)} of {count} differ from the committed run:"
    for one in differing[:SHOWN]:
        yield f"  {name_of(one.cell)}: {_top1(one.ours)}, committed {_top1(one.theirs)}"
    if len(differing) > SHOWN:
        yield f"  and {len(differing) - SHOWN} more"
    yield from dict.fromkeys(
        f"  here: {place_in_words(one.here)}; committed: {place_in_words(one.there)}"
        for one in differing
    )
    if any(_should_be_same(one.here, one.there) for one in differing):
        yield "  PORTABLE=1 and the same torch should give the same bits: make doctor says more"


def name_of(cell: Cell) -> str:
    """As people say it: ``qat W2A2, resnet8 <- resnet20, seed 0``."""
    bits = cell.bits.label if cell.bits is not None else "full precision"
    return f"{cell.method.name} {bits}, {cell.pair.label}, seed {cell.seed}"


def place_in_words(environment: Environment) -> str:
    """Whose arithmetic it was: processors, instruction set, torch and setting, as far as known."""
    places = [_processor(one) for one in environment.places or (environment,)]
    capability = [environment.capability] if environment.capability else []
    parts = [
        *dict.fromkeys(places),
        *capability,
        f"torch {environment.torch or 'unknown'}",
        f"PORTABLE={int(environment.portable)}",
    ]
    if environment.threads > 1:
        parts.append(f"THREADS={environment.threads}")
    if environment.compile:
        parts.append("COMPILE=1")
    if max(environment.parts, default=1) > 1:
        parts.append(f"batches in {max(environment.parts)} parts")
    return ", ".join(parts)


def _processor(place: Place) -> str:
    numbers = {"family": place.family, "model": place.model, "stepping": place.stepping}
    known = ", ".join(f"{name} {number}" for name, number in numbers.items() if number is not None)
    return (place.device_name or "unknown") + (f" ({known})" if known else "")


def _same(one: Result, other: Result, by_weights: bool) -> bool:
    weights = (one.weights_sha256, one.teacher_weights_sha256)
    if by_weights and weights != (other.weights_sha256, other.teacher_weights_sha256):
        return False
    if one.student.correct is None or other.student.correct is None:
        first, second = (replace(result.student, correct=None) for result in (one, other))
        return first == second
    return one.student == other.student


def _should_be_same(here: Environment, there: Environment) -> bool:
    alike = here.torch == there.torch and here.parts == there.parts
    held = all(place.portable for place in (here, there, *here.places, *there.places))
    return alike and held


def _environment(record: Record) -> Environment:
    try:
        return record.read(record.environment_file, Environment)
    except BadRecord:
        return Environment()


def _top1(result: Result) -> str:
    return f"{result.student.top1:.2f} %"
