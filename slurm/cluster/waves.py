"""Units -> waves: arrays of jobs whose elements are tied to their parents' (torch-free)."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from benchmarks.plan import Plan
from qkd.spec import Stage
from slurm.cluster.profiles import Resources
from slurm.cluster.units import Unit


class Wave(NamedTuple):
    """One array of jobs, or a single job; waves stand after those that they depend on.

    ``tied`` are the waves (by number) whose element i must succeed before ours; ``after`` are
    elements (wave, index) that all of ours wait for; ``whole`` are waves that must succeed as a
    whole; ``queued`` are jobs of an earlier launch, by their ids.
    """

    label: str
    units: tuple[Unit, ...]
    tied: tuple[int, ...] = ()
    after: tuple[tuple[int, int], ...] = ()
    whole: tuple[int, ...] = ()
    queued: tuple[str, ...] = ()

    @property
    def resources(self) -> Resources:
        """What each of its jobs asks for."""
        return self.units[0].resources


Colours = list[Any]


def waves(plan: Plan, units: Sequence[Unit], queued: Mapping[str, str], longest: int) -> list[Wave]:
    """The units as arrays of at most ``longest`` elements.

    Units of the same shape are one array, in their parents' order, so that SLURM can tie each
    element to its parent's. In a matrix that is partly done a unit may lack its parent, or a parent
    its child: these units form arrays of their own, so that an array's parents are whole arrays.

    Args:
        plan: the stages.
        units: what is to be trained, parents first.
        queued: job ids of stages that an earlier launch has put into the queue.
        longest: the most elements that an array of the cluster may have.
    """
    place = {key: number for number, unit in enumerate(units) for key in unit.stages}
    parents = [sorted({place[key] for key in unit.waits_for if key in place}) for unit in units]
    awaited = [
        tuple(sorted(queued[key] for key in unit.waits_for if key in queued)) for unit in units
    ]
    shapes = [
        (tuple(_shape(plan.stages[key].stage) for key in unit.stages), unit.resources, behind)
        for unit, behind in zip(units, awaited, strict=True)
    ]
    colours = _refined(shapes, parents)
    parents = [sorted(above, key=lambda u: (colours[u], u)) for above in parents]
    groups = _chunked(_ordered(colours, parents), longest)
    where = {u: (g, i) for g, group in enumerate(groups) for i, u in enumerate(group)}
    found = []
    for group in groups:
        first = units[group[0]]
        wave = Wave(
            label=plan.stages[first.stages[0]].stage.label,
            units=tuple(units[u] for u in group),
            queued=awaited[group[0]],
        )
        found.append(wave._replace(**_dependencies(group, parents, where, groups)))
    return found


def _shape(stage: Stage) -> tuple[Any, ...]:
    """What a stage does, whatever its bits, its quantizer and its seed."""
    history = stage.history
    path = tuple((part.phase.name, part.steps) for part in history.parts)
    teacher = history.teacher.network.name if history.teacher else ""
    return history.data.name, history.student.network.name, teacher, path, stage.steps


def _refined(shapes: list[Any], parents: list[list[int]]) -> Colours:
    """Colours such that units of one colour have parents, and children, of the same colours.

    Where several units of a colour share a parent, that parent becomes part of their colour. So do
    parents of one unit that have the same colour. All other parents are tied one to one.
    """
    children: list[list[int]] = [[] for _ in shapes]
    for unit, above in enumerate(parents):
        for parent in above:
            children[parent].append(unit)
    colours = _numbered(shapes)
    while True:
        alike = [Counter(colours[child] for child in below) for below in children]
        seen = []
        for unit, above in enumerate(parents):
            twice = Counter(colours[parent] for parent in above)
            named = tuple(
                parent
                for parent in above
                if alike[parent][colours[unit]] > 1 or twice[colours[parent]] > 1
            )
            up = tuple(sorted(colours[parent] for parent in above))
            down = tuple(sorted(colours[child] for child in children[unit]))
            seen.append((colours[unit], named, up, down))
        finer = _numbered(seen)
        if len(set(finer)) == len(set(colours)):
            return colours
        colours = finer


def _numbered(values: list[Any]) -> Colours:
    numbers: dict[Any, int] = {}
    return [numbers.setdefault(value, len(numbers)) for value in values]


def _ordered(colours: Colours, parents: list[list[int]]) -> list[list[int]]:
    """The units of each colour in their parents' order; groups after those of their parents."""
    groups: dict[int, list[int]] = defaultdict(list)
    for unit, colour in enumerate(colours):
        groups[colour].append(unit)
    position: dict[int, int] = {}
    ordered: dict[int, list[int]] = {}

    def add(colour: int) -> None:
        if colour in ordered:
            return
        for parent in parents[groups[colour][0]]:
            add(colours[parent])
        members = sorted(groups[colour], key=lambda u: [position[p] for p in parents[u]])
        position.update({unit: index for index, unit in enumerate(members)})
        ordered[colour] = members

    for colour in groups:
        add(colour)
    return list(ordered.values())


def _chunked(groups: list[list[int]], longest: int) -> list[list[int]]:
    """Groups in pieces that fit an array; those of tied groups are cut at the same places."""
    return [
        group[begin : begin + longest]
        for group in groups
        for begin in range(0, len(group), longest)
    ]


def _dependencies(
    group: list[int],
    parents: list[list[int]],
    where: dict[int, tuple[int, int]],
    groups: list[list[int]],
) -> dict[str, Any]:
    tied: list[int] = []
    after: list[tuple[int, int]] = []
    whole: set[int] = set()
    for column in zip(*(parents[unit] for unit in group), strict=True):
        places = [where[parent] for parent in column]
        wave = places[0][0]
        if len(set(column)) == 1:
            after.append(places[0])
        elif places == [(wave, i) for i in range(len(groups[wave]))]:
            tied.append(wave)
        else:
            whole.update(number for number, _ in places)
    return {"tied": tuple(tied), "after": tuple(after), "whole": tuple(sorted(whole))}
