"""A matrix: cells with a lab label (torch-free)."""

from collections.abc import Container, Iterator
from itertools import accumulate
from typing import Annotated, Literal, NamedTuple

import msgspec

from benchmarks.contrasts import PHASES, Contrast
from qkd.phases import RUN_EPOCHS, qkd
from qkd.spec import Bits, Data, History, Learner, Method, Network, Quantization, Recipe
from qkd.spec.history import grown, prefix, seeded, teacher_trained_until
from qkd.spec.value import Count, Name, Value

ScaleName = Literal["smoke", "laptop", "headline", "paper"]
FULL_PRECISION_BITS = 32

DEFAULT_SEEDS: dict[ScaleName, tuple[int, ...]] = {
    "smoke": (0, 1),
    "laptop": (0, 1, 2, 3, 4),
    "paper": (0, 1, 2, 3, 4),
}


class Label(Value, kw_only=True):
    """The lab label: what is asked, at what cost, with which known deviations."""

    title: str
    question: str = ""
    cost: str = ""
    deviations: tuple[str, ...] = ()


class Pair(Value, kw_only=True):
    """A student and its teacher on a data set, each with its start (none: random weights).

    ``student_macs`` and ``teacher_macs`` are the multiply-accumulates of one image's forward
    pass; 0 until the launcher has counted them.
    """

    data: Data
    student: Network
    teacher: Network
    student_start: History | None = None
    teacher_start: History | None = None
    student_macs: Annotated[int, msgspec.Meta(ge=0)] = 0
    teacher_macs: Annotated[int, msgspec.Meta(ge=0)] = 0

    @property
    def label(self) -> str:
        """As in the tables: ``resnet8 <- resnet20``."""
        return f"{self.student.name} <- {self.teacher.name}"


class Skip(Value, kw_only=True):
    """Cells that are left out, with the reason: those of a method, at some bits or at all."""

    method: Name
    bits: str = ""
    reason: str


class Grid(Value, kw_only=True):
    """The product of one pair with bits, methods and seeds.

    ``recipe.horizon`` is the length in steps of a method of 200 epochs; each method's own horizon
    follows from its epochs. Cells of an ``optional`` grid run only where ONLY= names their method.
    ``in_float`` names what of the student stays in float (`qkd.spec.Quantization`).
    """

    pair: Pair
    bits: tuple[Bits, ...]
    methods: tuple[Method, ...]
    seeds: tuple[int, ...]
    recipe: Recipe
    skips: tuple[Skip, ...] = ()
    optional: bool = False
    in_float: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        names = [method.name for method in self.methods]
        if len(set(names)) < len(names):
            raise ValueError(f"two methods of a grid have the same name: {sorted(names)}")
        if len({bits.label for bits in self.bits}) < len(self.bits):
            raise ValueError(f"a grid has the same bits twice: {[b.label for b in self.bits]}")
        unknown = {skip.method for skip in self.skips} - set(names)
        if unknown:
            raise ValueError(f"a skip names unknown methods {sorted(unknown)}: {sorted(names)}")
        labels = ["", *(bits.label.lower() for bits in self.bits)]
        for skip in self.skips:
            if skip.bits.lower() not in labels:
                raise ValueError(f"a skip names unknown bits {skip.bits!r}: {labels[1:]}")

    def cells(self, numerics: int) -> "Iterator[Cell]":
        """Every cell, skipped ones included: first those in full precision, then bits by bits."""
        for method in self.methods:
            if method.quantizer is None:
                yield from _cells(self, None, method, numerics)
        for bits in self.bits:
            for method in self.methods:
                if method.quantizer is not None:
                    yield from _cells(self, bits, method, numerics)

    def comparable(self, other: "Grid") -> bool:
        """Whether the methods of both can be compared, seed by seed: the same networks, from the
        same starts, see the same images in the same order for as long, by recipes that differ in
        learning rates alone, and no two methods have the same name."""
        ours, theirs = (_without_rates(grid.recipe) for grid in (self, other))
        names = {method.name for method in self.methods}
        alike = (ours, self.pair, self.in_float) == (theirs, other.pair, other.in_float)
        return alike and names.isdisjoint(method.name for method in other.methods)


def _without_rates(recipe: Recipe) -> Recipe:
    """The recipe without its learning rates, which a rival's authors may have chosen otherwise."""
    base = Recipe(horizon=1, log_every=1)
    return msgspec.structs.replace(
        recipe,
        learning_rate=base.learning_rate,
        weight_interval_learning_rate=base.weight_interval_learning_rate,
        activation_interval_learning_rate=base.activation_interval_learning_rate,
    )


class Cell(NamedTuple):
    """One (pair, bits, method, seed). ``bits`` is None in full precision."""

    pair: Pair
    bits: Bits | None
    method: Method
    seed: int
    history: History
    skipped: str
    optional: bool = False

    @property
    def weight_bits(self) -> int:
        """Bits of the weights; 32 in full precision."""
        return self.bits.weight if self.bits else FULL_PRECISION_BITS

    @property
    def activation_bits(self) -> int:
        """Bits of the input activations; 32 in full precision."""
        return self.bits.activation if self.bits else FULL_PRECISION_BITS


class Matrix(Value, kw_only=True):
    """The cells of a table or figure, at one scale.

    ``numerics`` is that of the code which trains it: the launcher sets it. ``contrasts`` are those
    that the report shows; None: those of the phases. ``order``: what `ONLY=` would pick, in the
    order in which the questions are worth asking; the plan says what each adds to the cost.
    """

    name: Name
    scale: ScaleName
    label: Label
    grids: tuple[Grid, ...]
    numerics: Count = 1
    contrasts: tuple[Contrast, ...] | None = None
    order: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        names: dict[int, set[str]] = {}
        for place, grid in zip(self.places(), self.grids, strict=True):
            names.setdefault(place, set()).update(method.name for method in grid.methods)
        for one in self.contrasts or ():
            if not any({one.first, one.second} <= group for group in names.values()):
                raise ValueError(
                    f"the contrast {one.first} - {one.second} needs two methods that can be "
                    f"compared. Comparable are {[sorted(group) for group in names.values()]}"
                )

    def places(self) -> tuple[int, ...]:
        """For each grid the number of the first one that it is compared with; often its own."""
        groups: dict[int, list[Grid]] = {}
        places = []
        for number, grid in enumerate(self.grids):
            fits = (place for place, group in groups.items() if all(map(grid.comparable, group)))
            places.append(next(fits, number))
            groups.setdefault(places[-1], []).append(grid)
        return tuple(places)

    def contrasts_among(self, methods: Container[str]) -> tuple[Contrast, ...]:
        """The contrasts whose two methods are both among these."""
        every = PHASES if self.contrasts is None else self.contrasts
        return tuple(one for one in every if one.first in methods and one.second in methods)

    def cells(self) -> Iterator[Cell]:
        """Every cell, skipped and optional ones too, by pairs, bits, methods and seeds."""
        for grid in self.grids:
            yield from grid.cells(self.numerics)


def _cells(grid: Grid, bits: Bits | None, method: Method, numerics: int) -> Iterator[Cell]:
    label = bits.label.lower() if bits else ""
    reasons = [
        skip.reason
        for skip in grid.skips
        if skip.method == method.name and skip.bits.lower() in ("", label)
    ]
    said = "".join(reasons[:1]), grid.optional
    start = grid.pair.student_start
    if not method.shares:
        if start is not None:
            yield Cell(grid.pair, bits, method, start.seed, start, *said)
        return
    first = history_of(grid, bits, method, 0, numerics)
    for seed in grid.seeds:
        # All seeds share the history's parts, which are then checked and digested once.
        yield Cell(grid.pair, bits, method, seed, seeded(first, seed), *said)


def history_of(
    grid: Grid, bits: Bits | None, method: Method, seed: int, numerics: int = 1
) -> History:
    """What the student of a cell goes through.

    Raises ValueError where a phase's length is no whole number of steps at the grid's scale.
    """
    pair = grid.pair
    quantization = None
    if bits is not None and method.quantizer is not None:
        quantization = Quantization(
            bits=bits,
            quantizer=method.quantizer,
            initial_interval=method.initial_interval,
            in_float=grid.in_float,
        )
    lengths = [steps_of(share.epochs, grid.recipe) for share in method.shares]
    restarts = tuple(accumulate(lengths[:-1])) if method.schedule == "phase" else ()
    history = History(
        data=pair.data,
        student=Learner(network=pair.student, start=pair.student_start, quantization=quantization),
        recipe=msgspec.structs.replace(grid.recipe, horizon=sum(lengths), restarts=restarts),
        seed=seed,
        numerics=numerics,
    )
    teacher = Learner(network=pair.teacher, start=pair.teacher_start)
    if method.teacher == "self":
        teacher = Learner(network=pair.student, start=pair.student_start)
    if method.teacher == "co-studied":
        source = msgspec.structs.replace(
            qkd(), quantizer=method.quantizer, initial_interval=method.initial_interval
        )
        whole = history_of(grid, bits, source, seed, numerics)
        studied = prefix(whole, teacher_trained_until(whole))
        teacher = Learner(network=pair.teacher, start=studied, side="teacher")
    for share, length in zip(method.shares, lengths, strict=True):
        history = grown(history, share.phase, length, teacher)
    return history


def steps_of(epochs: int, recipe: Recipe) -> int:
    """Optimiser steps of so many of a run's 200 epochs, at the scale of ``recipe.horizon``.

    Raises ValueError where that is no whole number.
    """
    steps, rest = divmod(epochs * recipe.horizon, RUN_EPOCHS)
    if rest:
        raise ValueError(
            f"{epochs} of {RUN_EPOCHS} epochs are no whole number of steps with horizon "
            f"{recipe.horizon}: take a horizon that is a multiple of {RUN_EPOCHS // 10}"
        )
    return steps


KEYS = ("dataset", "student", "teacher", "bits", "method", "seed")


def cell_values(cell: Cell) -> dict[str, str]:
    """A cell's values by the keys that ONLY= understands."""
    return {
        "dataset": cell.pair.data.name,
        "student": cell.pair.student.name,
        "teacher": cell.pair.teacher.name,
        "bits": cell.bits.label.lower() if cell.bits else "fp",
        "method": cell.method.name,
        "seed": str(cell.seed),
    }


def select(cells: list[Cell], only: str) -> list[Cell]:
    """The cells that ``only`` picks: ``key=value`` words, all of which must hold; a value may list
    several, comma-separated. Capitals and small letters are the same. An optional cell is picked
    only where ``only`` names its method.

    Raises ValueError for an unknown key or a value that no cell has, listing the valid ones.
    """
    wanted: dict[str, set[str]] = {}
    valued = [cell_values(cell) for cell in cells]
    for word in only.split():
        key, equals, value = word.partition("=")
        if not equals or key not in KEYS:
            raise ValueError(f"ONLY: {word!r} is not one of {', '.join(f'{k}=...' for k in KEYS)}")
        valid = sorted({its[key].lower() for its in valued})
        chosen = {item.lower() for item in value.split(",")}
        unknown = chosen - set(valid)
        if unknown:
            raise ValueError(f"ONLY: no cell has {key}={sorted(unknown)[0]}; it may be {valid}")
        wanted[key] = wanted.get(key, chosen) & chosen
    picked = [
        cell
        for cell, its in zip(cells, valued, strict=True)
        if ("method" in wanted or not cell.optional)
        and all(its[key].lower() in values for key, values in wanted.items())
    ]
    if not picked:
        raise ValueError(f"ONLY={only!r} picks no cell of the matrix")
    return picked
