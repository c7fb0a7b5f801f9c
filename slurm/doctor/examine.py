"""Is everything there? Says what is missing and the command that mends it."""

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmarks.matrix import select
from benchmarks.plan import plan
from benchmarks.settings import Settings
from qkd.records.files import printable
from slurm.doctor import GIBIBYTE, Finding
from slurm.doctor.arithmetic import arithmetic_here
from slurm.planning.matrices import build

DISK_BYTES = 2 * GIBIBYTE
PROJECT = "qkd-benchmark"


Check = Callable[[Settings], Iterator[Finding]]


def examine(settings: Settings) -> int:
    """Prints every finding; returns 1 where something must be mended."""
    findings = [finding for check in CHECKS for finding in _found(check, settings)]
    table = Table()
    for title in ("checked", "found", "to mend it"):
        table.add_column(title, overflow="fold")  # a path is shown whole
    for finding in findings:
        style = "red" if finding.mend else ""
        what, found, mend = map(printable, finding)
        table.add_row(Text(what), Text(found, style=style), Text(mend))
    Console().print(table)
    broken = sum(bool(finding.mend) for finding in findings)
    print(
        f"{broken} of {len(findings)} checks found something to mend" if broken else "all is well"
    )
    return 1 if broken else 0


def _found(check: Check, settings: Settings) -> list[Finding]:
    """What a check finds; one that breaks is a finding too."""
    try:
        return list(check(settings))
    except Exception as error:
        what = check.__name__.removeprefix("_")
        return [Finding(what, f"{type(error).__name__}: {error}", "make clean-environment setup")]


def _python(_settings: Settings) -> Iterator[Finding]:
    found = ".".join(map(str, sys.version_info[:3]))
    yield Finding("Python", found, "" if sys.version_info >= (3, 11) else "install 3.11 or newer")


def _packages(_settings: Settings) -> Iterator[Finding]:
    """Every dependency of the project, as the installed metadata name them."""
    # A twentieth of a second, which no other command of the launcher needs.
    from importlib.metadata import PackageNotFoundError, requires, version

    from packaging.requirements import Requirement

    for requirement in map(Requirement, requires(PROJECT) or []):
        if requirement.marker is not None and not requirement.marker.evaluate():
            continue
        mend = "make clean-environment setup"
        try:
            found = version(requirement.name)
        except PackageNotFoundError:
            yield Finding(requirement.name, "not installed", mend)
            continue
        fits = requirement.specifier.contains(found, prereleases=True)
        wanted = "" if fits else f", {requirement.specifier} is needed"
        yield Finding(requirement.name, f"{found}{wanted}", "" if fits else mend)


def _device(settings: Settings) -> Iterator[Finding]:
    import torch

    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            free, total = torch.cuda.mem_get_info(index)
            name = torch.cuda.get_device_name(index)
            memory = f"{free / GIBIBYTE:.1f} of {total / GIBIBYTE:.1f} GiB free"
            yield Finding(f"GPU {index}", f"{name}, {memory}")
    else:
        yield Finding("GPU", "none: workers run on the CPU")
    cores = os.cpu_count() or 1
    mend = "" if settings.threads <= cores else f"THREADS={cores} or fewer"
    yield Finding("cores", f"{cores}, {settings.threads} for each worker", mend)


def _folders(settings: Settings) -> Iterator[Finding]:
    places = {
        "RESULTS": settings.results,
        "DATA": settings.data,
        "REPORT": settings.report.parent,
    }
    for name, folder in places.items():
        place = _existing(folder)
        try:
            with tempfile.NamedTemporaryFile(dir=place):
                pass
        except OSError as error:
            yield Finding(f"{name}={folder}", str(error), f"make {place} writable, or {name}=...")
            continue
        free = shutil.disk_usage(place).free
        mend = "" if free >= DISK_BYTES else f"free {DISK_BYTES // GIBIBYTE} GiB, or {name}=..."
        yield Finding(f"{name}={folder}", f"writable, {free / GIBIBYTE:.1f} GiB free", mend)


def _existing(folder: Path) -> Path:
    folder = folder.absolute()
    while not folder.exists():
        folder = folder.parent
    return folder


def _matrix(settings: Settings) -> Iterator[Finding]:
    """The matrix can be planned, and its data read: the slow check, so the last."""
    from qkd.data.cache import load
    from slurm.doctor.memory import gpus, memory
    from slurm.doctor.photos import known_accuracies, sampled_classes

    try:
        matrix = build(settings)
        every = list(matrix.cells())
        cells = select(every, settings.only)
        stages = [planned.stage for planned in plan(every, cells).stages.values()]
        yield Finding("matrix", f"{matrix.name}: {len(cells)} cells, {len(stages)} stages")
        shapes = {}
        for data in {cell.pair.data.name: cell.pair.data for cell in cells}.values():
            split = load(data, settings.data)
            counts = f"{len(split.train.labels)} training and {len(split.test.labels)} test images"
            yield Finding(f"data {data.name}", f"{counts}, digest verified")
            shapes[data.name] = split.test.shape
            if data.photos is not None:
                yield sampled_classes(data, settings.data)
        yield from memory(stages, shapes, gpus(), settings.micro_batches)
        yield from known_accuracies(stages, settings)
    except (ValueError, OSError) as error:
        yield Finding("matrix and data", "not usable", str(error))


CHECKS: tuple[Check, ...] = (
    _python,
    _packages,
    _device,
    arithmetic_here,
    _folders,
    _matrix,
)
