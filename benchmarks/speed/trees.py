"""The tree of another commit, to be measured beside this one: BASELINE=<commit>."""

import contextlib
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from benchmarks.settings import SettingsError

ROOT = Path(__file__).resolve().parents[2]
# What Python takes in a tree, and which make variables that tree knows.
ASKED = (
    "import json, qkd, slurm, benchmarks.settings as settings\n"
    "files = [module.__file__ for module in (qkd, slurm, settings)]\n"
    "print(json.dumps([files, settings.VARIABLES]))"
)


class Tree(NamedTuple):
    """A folder with the packages of a commit, and the make variables that it knows."""

    folder: Path
    commit: str
    knows: frozenset[str]

    def environment(self, variables: Mapping[str, str]) -> dict[str, str]:
        """That of a process that imports this tree's packages, with those of the make variables
        that the tree knows."""
        known = {f"QKD_{name}": v for name, v in variables.items() if name in self.knows}
        return _inherited(self.folder) | known


class Trees(NamedTuple):
    """The baseline's tree and the present one."""

    before: Tree
    now: Tree


@contextlib.contextmanager
def both(commit: str) -> Iterator[Trees]:
    """The tree of the commit, in a folder that is removed afterwards, and the present one.

    Raises SettingsError, in one line, where there is no such commit or no git, or where Python
    would take other packages than a tree's own.
    """
    with tempfile.TemporaryDirectory(prefix="baseline-") as place:
        folder = Path(place).resolve()
        found = _checked_out(commit, folder)
        yield Trees(_tree(folder, found), _tree(ROOT, ""))


def _checked_out(commit: str, folder: Path) -> str:
    """Writes the commit's files, results aside, into the folder; returns its full name."""
    try:
        full = _git("rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}").decode().strip()
        packed = _git("archive", "--format=tar", full, "--", ".", ":(exclude)results")
    except FileNotFoundError as error:
        raise SettingsError(
            f"BASELINE={commit} is checked out by git, which is not here"
        ) from error
    except subprocess.CalledProcessError as error:
        raise SettingsError(f"BASELINE={commit} is no commit of the repository {ROOT}") from error
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(folder, filter="data")
    # Else its first process alone would compile its files.
    command = [sys.executable, "-m", "compileall", "-q", str(folder)]
    subprocess.run(command, check=False, capture_output=True)  # noqa: S603 (our own files)
    return full


def _git(*arguments: str) -> bytes:
    command = ["git", "-C", str(ROOT), *arguments]
    return subprocess.run(command, check=True, capture_output=True).stdout  # noqa: S603


def _tree(folder: Path, commit: str) -> Tree:
    """Raises SettingsError where Python takes other packages than the folder's, an installed
    one's say."""
    done = subprocess.run(  # noqa: S603 (our own code)
        [sys.executable, "-c", ASKED],
        cwd=folder,
        env=_inherited(folder),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise SettingsError(f"BASELINE= cannot be measured, as {folder} does not import: {last}")
    files, knows = json.loads(done.stdout)
    for file in files:
        if not Path(file).resolve().is_relative_to(folder):
            raise SettingsError(f"BASELINE= cannot be measured: Python takes {file}, not {folder}")
    return Tree(folder, commit, frozenset(knows))


def _inherited(folder: Path) -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("QKD_")}
    return own | {"PYTHONPATH": str(folder)}
