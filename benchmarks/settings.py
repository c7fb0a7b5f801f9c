"""The variables that every command understands, from the environment (torch-free).

The Makefile hands each variable over as ``QKD_<NAME>``; an empty one is at its default.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, get_args

from benchmarks.matrix import ScaleName

SCALES: tuple[ScaleName, ...] = get_args(ScaleName)


class SettingsError(ValueError):
    """A variable that is unknown or has an impossible value."""


class Settings(NamedTuple):
    """What a command was asked for: a field for each variable, ``micro_batches`` for MICROBATCHES.

    ``seeds`` is empty where the matrix's own are meant, ``jobs`` is 0 where the executor is to
    choose, ``stage`` names a record by its digest, name or folder. ``cluster`` is a profile's name,
    "" for this machine; ``pack`` the most stages of one job.
    """

    matrix: str
    scale: ScaleName
    data: Path
    results: Path
    report: Path
    seeds: tuple[int, ...]
    only: str
    jobs: int
    threads: int
    compile: bool
    lean: bool
    loaders: int
    micro_batches: int
    stage: str
    cluster: str
    pack: int
    dry_run: bool


VARIABLES = tuple(field.replace("_", "").upper() for field in Settings._fields)


def from_environment(environment: Mapping[str, str] = os.environ) -> Settings:
    """The settings of the environment's QKD_ variables.

    Raises SettingsError, which lists the valid names or values.
    """
    for name in environment:
        if name.startswith("QKD_") and name.removeprefix("QKD_") not in (*VARIABLES, "PYTHON"):
            known = ", ".join(f"QKD_{variable}" for variable in VARIABLES)
            raise SettingsError(f"unknown variable {name}: it may be {known}")

    def value(name: str, default: str) -> str:
        return environment.get(f"QKD_{name}", "").strip() or default

    scale = value("SCALE", "laptop")
    if scale not in SCALES:
        raise SettingsError(f"SCALE={scale} is unknown: it may be {', '.join(SCALES)}")
    return Settings(
        matrix=value("MATRIX", "ablation"),
        scale=scale,
        data=Path(value("DATA", "data")),
        results=Path(value("RESULTS", "results")),
        report=Path(value("REPORT", "report/index.html")),
        seeds=_seeds(value("SEEDS", "")),
        only=value("ONLY", ""),
        jobs=_count("JOBS", value("JOBS", "")),
        threads=_count("THREADS", value("THREADS", "1")),
        compile=_switch("COMPILE", value("COMPILE", "0")),
        lean=_switch("LEAN", value("LEAN", "0")),
        loaders=_number("LOADERS", value("LOADERS", "0")),
        micro_batches=_count("MICROBATCHES", value("MICROBATCHES", "1")),
        stage=value("STAGE", ""),
        cluster=value("CLUSTER", ""),
        pack=_count("PACK", value("PACK", "1")),
        dry_run=_switch("DRYRUN", value("DRYRUN", "0")),
    )


def _count(name: str, text: str) -> int:
    if text and not (text.isdecimal() and int(text)):
        raise SettingsError(f"{name}={text} is not a number of 1 or more")
    return int(text or 0)


def _number(name: str, text: str) -> int:
    if not text.isdecimal():
        raise SettingsError(f"{name}={text} is not a number of 0 or more")
    return int(text)


def _switch(name: str, text: str) -> bool:
    if text not in ("0", "1"):
        raise SettingsError(f"{name}={text} is neither 0 nor 1")
    return text == "1"


def _seeds(text: str) -> tuple[int, ...]:
    words = [word.strip() for word in text.split(",")] if text else []
    if not all(word.isdecimal() and int(word) < 2**31 for word in words):
        raise SettingsError(f"SEEDS={text} is not a list of numbers such as 0,1,2")
    seeds = tuple(int(word) for word in words)
    if len(set(seeds)) < len(seeds):
        raise SettingsError(f"SEEDS={text} names a seed twice")
    return seeds
