"""What was run: the facts of a matrix in words, from its records."""

from typing import NamedTuple

from report.cells import Readings, counted
from report.outcomes import Outcome
from report.parts import Environment
from report.words import duration, listed


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


def facts(readings: Readings) -> Facts:
    """Of all stages that the matrix needs, shared ones counted once."""
    records = readings.run.records
    stages = [(p.stage, records.outcome(p.stage.history)) for p in readings.plan.stages.values()]
    done = [(stage, outcome.result) for stage, outcome in stages if outcome.result]
    total = sum(result.seconds for _, result in done)
    before = sum(r.seconds for stage, r in done if stage.history.student.start is None)
    seeds = sorted({r.cell.seed for r in readings.cells if r.cell.method.shares})
    outcomes = [outcome for _, outcome in stages]
    environments = [outcome.environment for outcome in outcomes if outcome.environment]
    return Facts(
        cells=f"{len(readings.cells)}: {counted(readings.cells)}",
        stages=f"{len(done)} of {len(stages)} done; equal stages are trained once",
        seeds=listed([str(seed) for seed in seeds], none="none"),
        compute=f"{duration(total)} of training, {duration(before)} of it pre-training",
        when=_when(readings),
        hardware=_hardware(outcomes),
        software=listed([f"torch {e.torch}" for e in environments if e.torch]),
        commit=listed([_commit(e) for e in environments if e.commit]),
    )


def _when(readings: Readings) -> str:
    """The first and the last day on which it was launched."""
    days = sorted({launch.date for launch in readings.run.launches})
    return " to ".join(dict.fromkeys((days[0], days[-1]))) if days else "not recorded"


def _hardware(outcomes: list[Outcome]) -> str:
    return listed([text for text in map(hardware, outcomes) if text])


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
