"""What was run: the facts of a matrix in words, from its records."""

from collections.abc import Iterable
from typing import NamedTuple

from qkd.records.schema import Environment
from report.analysis.methods import counted
from report.analysis.sections import Section
from report.reading.records import Outcome
from report.texts import duration, listed


class Facts(NamedTuple):
    """Each as a text. ``cells`` says how many are in which state: ``56: 54 done, 2 failed``."""

    cells: str
    stages: str
    seeds: str
    compute: str
    when: str
    hardware: str
    software: str
    commit: str


def facts(section: Section) -> Facts:
    """Of all stages that the matrix needs, shared ones counted once."""
    readings, cells = section.readings, section.cells
    outcomes = list(readings.stages.values())
    results = [one.result for one in outcomes if one.result]
    begun = [
        readings.stages[one.digest].result
        for one in readings.plan.stages.values()
        if one.stage.history.student.start is None
    ]
    total = sum(one.seconds for one in results)
    before = sum(one.seconds for one in begun if one)
    environments = [one.environment for one in outcomes if one.environment]
    days = sorted({launch.date for launch in readings.run.launches})
    return Facts(
        cells=f"{len(cells)}: {counted(cells['status'])}",
        stages=f"{len(results)} of {len(outcomes)} done; equal stages are trained once",
        seeds=listed(map(str, sorted(set(cells["seed"][cells["steps"] > 0]))), none="none"),
        compute=f"{duration(total)} of training, {duration(before)} of it pre-training",
        when=" to ".join(dict.fromkeys((days[0], days[-1]))) if days else "not recorded",
        hardware=listed(map(hardware, outcomes)),
        software=software(environments),
        commit=listed(_commit(one) for one in environments if one.commit),
    )


def software(environments: Iterable[Environment], none: str = "not recorded") -> str:
    """The versions of torch."""
    return listed((f"torch {one.torch}" for one in environments if one.torch), none)


def hardware(outcome: Outcome) -> str:
    """``AMD EPYC (cpu), 1 thread``; empty where it is not recorded."""
    environment = outcome.environment
    if environment is None or not environment.device:
        return ""
    threads = f"{environment.threads} thread{'' if environment.threads == 1 else 's'}"
    return f"{environment.device_name or 'unnamed device'} ({environment.device}), {threads}"


def _commit(environment: Environment) -> str:
    changes = local_changes(environment)
    return f"{environment.commit[:12]} ({changes})" if changes else environment.commit[:12]


def local_changes(environment: Environment) -> str:
    """``with local changes``, or that it is not known; empty where there were none."""
    if environment.dirty is None:
        return "local changes unknown"
    return "with local changes" if environment.dirty else ""
