"""Folders that take long to fill: filled by the first process of tests that asks, read by all."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock
from pytest import TempPathFactory  # noqa: PT013 (a type)


def shared(factory: TempPathFactory, name: str, fill: Callable[[Path], object]) -> Path:
    """The folder of this name, which ``fill(folder)`` creates once in a run of all its processes.

    Others wait meanwhile. Nobody may write into it afterwards. Where filling it failed, the next
    one that asks tries again.
    """
    root = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent  # the run's own, in which each worker has one
    folder, done = root / f"shared-{name}", root / f"shared-{name}.done"
    with FileLock(root / f"shared-{name}.lock"):
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            fill(folder)
            done.touch()
    return folder
