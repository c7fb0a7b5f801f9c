"""The variables that every command understands, from the environment (torch-free).

The Makefile hands each variable over as ``QKD_<NAME>``; an empty one is at its default. A variable
is one line of `Settings`, and its name and its help in the Makefile.
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_type_hints

from benchmarks.matrix import ScaleName
from qkd.spec import Precision

SCALES: tuple[ScaleName, ...] = get_args(ScaleName)
PRECISIONS: tuple[Precision, ...] = get_args(Precision)

# Where SCALE= says nothing: laptop, but of what no laptop can train.
DEFAULT_SCALE = "laptop"
DEFAULT_SCALES = {"imagenet": "headline", "imagenet-100": "headline"}


class SettingsError(ValueError):
    """A variable that is unknown or has an impossible value."""


class Variable(NamedTuple):
    """A make variable: its name, its default as it would be typed, and what reads a value.

    ``read`` takes the name and the text, and raises SettingsError.
    """

    name: str
    default: str
    read: Callable[[str, str], Any]


def _text(_name: str, text: str) -> str:
    return text


def _path(_name: str, text: str) -> Path:
    return Path(text)


def _scale(name: str, text: str) -> str:
    if text not in SCALES:
        raise SettingsError(f"{name}={text} is unknown: it may be {', '.join(SCALES)}")
    return text


def _precision(name: str, text: str) -> str:
    if text and text not in PRECISIONS:
        raise SettingsError(f"{name}={text} is unknown: it may be {', '.join(PRECISIONS)}")
    return text


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


def _switch_or_default(name: str, text: str) -> bool | None:
    return _switch(name, text) if text else None


def _seeds(name: str, text: str) -> tuple[int, ...]:
    words = [word.strip() for word in text.split(",")] if text else []
    if not all(word.isdecimal() and int(word) < 2**31 for word in words):
        raise SettingsError(f"{name}={text} is not a list of numbers such as 0,1,2")
    seeds = tuple(int(word) for word in words)
    if len(set(seeds)) < len(seeds):
        raise SettingsError(f"{name}={text} names a seed twice")
    return seeds


def _commit(name: str, text: str) -> str:
    if text.startswith("-"):  # git would take it for an option
        raise SettingsError(f"{name}={text} is no name of a commit")
    return text


def _digests(name: str, text: str) -> tuple[str, ...]:
    words = tuple(word.strip().lower() for word in text.split(",")) if text else ()
    if not all(8 <= len(word) <= 64 and set(word) <= set("0123456789abcdef") for word in words):
        raise SettingsError(f"{name}={text} is not a digest of code, as make status shows it")
    return words


class Settings(NamedTuple):
    """What a command was asked for. ``seeds`` is empty where the matrix's own are meant, ``jobs``
    is 0 where the executor is to choose, ``stage`` names a record by its digest, name or folder.
    ``logits`` is the most disk for frozen teachers' logits, in GiB.
    ``precision`` and ``teacher_precision`` are "" where the matrix's own are meant.
    ``accept`` are digests of a user's code, on whose change no number depends.
    ``portable`` is None where it is as `slurm.planning.arithmetic` says.
    ``cluster`` is a profile's name, "" for this machine; ``pack`` the most stages of one job.
    ``baseline`` is the commit that speed is compared with, "" for none.
    """

    matrix: Annotated[str, Variable("MATRIX", "ablation", _text)]
    scale: Annotated[ScaleName, Variable("SCALE", "", _scale)]
    data: Annotated[Path, Variable("DATA", "data", _path)]
    results: Annotated[Path, Variable("RESULTS", "results", _path)]
    report: Annotated[Path, Variable("REPORT", "report/index.html", _path)]
    seeds: Annotated[tuple[int, ...], Variable("SEEDS", "", _seeds)]
    only: Annotated[str, Variable("ONLY", "", _text)]
    precision: Annotated[Precision | Literal[""], Variable("PRECISION", "", _precision)]
    teacher_precision: Annotated[
        Precision | Literal[""], Variable("TEACHER_PRECISION", "", _precision)
    ]
    jobs: Annotated[int, Variable("JOBS", "", _count)]
    threads: Annotated[int, Variable("THREADS", "1", _count)]
    compile: Annotated[bool, Variable("COMPILE", "0", _switch)]
    lean: Annotated[bool, Variable("LEAN", "0", _switch)]
    portable: Annotated[bool | None, Variable("PORTABLE", "", _switch_or_default)]
    loaders: Annotated[int, Variable("LOADERS", "0", _number)]
    micro_batches: Annotated[int, Variable("MICROBATCHES", "1", _count)]
    logits: Annotated[int, Variable("LOGITS", "2", _number)]
    stage: Annotated[str, Variable("STAGE", "", _text)]
    accept: Annotated[tuple[str, ...], Variable("ACCEPT", "", _digests)]
    cluster: Annotated[str, Variable("CLUSTER", "", _text)]
    pack: Annotated[int, Variable("PACK", "1", _count)]
    dry_run: Annotated[bool, Variable("DRYRUN", "0", _switch)]
    baseline: Annotated[str, Variable("BASELINE", "", _commit)]


FIELDS: dict[str, Variable] = {
    field: hint.__metadata__[0]
    for field, hint in get_type_hints(Settings, include_extras=True).items()
}
VARIABLES = tuple(variable.name for variable in FIELDS.values())


def from_environment(environment: Mapping[str, str] = os.environ) -> Settings:
    """The settings of the environment's QKD_ variables.

    Raises SettingsError, which lists the valid names or values.
    """
    for name in environment:
        if name.startswith("QKD_") and name.removeprefix("QKD_") not in (*VARIABLES, "PYTHON"):
            known = ", ".join(f"QKD_{variable}" for variable in VARIABLES)
            raise SettingsError(f"unknown variable {name}: it may be {known}")
    texts = {
        field: environment.get(f"QKD_{variable.name}", "").strip() or variable.default
        for field, variable in FIELDS.items()
    }
    texts["scale"] = texts["scale"] or DEFAULT_SCALES.get(texts["matrix"], DEFAULT_SCALE)
    return Settings(
        **{field: variable.read(variable.name, texts[field]) for field, variable in FIELDS.items()}
    )
