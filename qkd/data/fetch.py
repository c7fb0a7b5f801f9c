"""Fashion-MNIST's four files, fetched without root: from Debian's package, else by torchvision."""

import http.client
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from qkd.data.images import DataError

TRAIN_IMAGES = "train-images-idx3-ubyte"
TRAIN_LABELS = "train-labels-idx1-ubyte"
TEST_IMAGES = "t10k-images-idx3-ubyte"
TEST_LABELS = "t10k-labels-idx1-ubyte"
FILES = (TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS)

PACKAGE = "dataset-fashion-mnist"
PACKAGE_FOLDER = Path("/usr/share/datasets/fashion-mnist")  # where the package installs the files
COMMAND_SECONDS = 900


class _FetchError(Exception):
    """Why one way of fetching did not work, in a line."""


def fetch_fashion_mnist(folder: Path) -> Path:
    """Fetch the four gzipped files into ``folder/fashion-mnist`` and return that folder.

    Each file appears there whole, by rename, so that two processes may fetch at once; nothing else
    stays behind. Raises DataError that says what was tried, why it failed and what mends it.
    """
    folder = folder.absolute()  # the commands below run in folders of their own
    target = folder / "fashion-mnist"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        failures = _fetch_by_any(folder, target)
    except OSError as error:
        raise DataError(
            f"cannot write Fashion-MNIST to {target} ({error}): make room, make it writable, or "
            "name another data folder"
        ) from error
    if failures:
        raise DataError(
            "Fashion-MNIST could not be fetched:\n"
            + "".join(f"  {failure}\n" for failure in failures)
            + f"Connect the machine, or run: sudo apt-get install {PACKAGE}\n"
            f"or copy the four files ({TRAIN_IMAGES}.gz, ...) to {target}"
        )
    return target


def _fetch_by_any(folder: Path, target: Path) -> list[str]:
    """Try each way until one works; returns the failures if none did, else nothing."""
    ways: tuple[tuple[str, Callable[[Path], Path]], ...] = (
        (f"from Debian's package {PACKAGE}", _from_debian),
        ("with torchvision", _with_torchvision),
    )
    failures = []
    for name, fetch in ways:
        # Inside the data folder: a rename into place then stays within one file system.
        with tempfile.TemporaryDirectory(dir=folder, prefix=".fetching-") as temporary:
            try:
                _say(f"fetching Fashion-MNIST (31 MB) {name} to {target}")
                found = fetch(Path(temporary))
            except _FetchError as error:
                failures.append(f"{name}: {error}")
                continue
            _move_into_place(found, target)
            return []
    return failures


def _move_into_place(found: Path, target: Path) -> None:
    target.mkdir(exist_ok=True)
    for name in FILES:
        (found / f"{name}.gz").replace(target / f"{name}.gz")


def _from_debian(temporary: Path) -> Path:
    apt, unpack = _program("apt-get"), _program("dpkg-deb")
    try:
        _run([apt, "download", PACKAGE], temporary)
    except _FetchError:
        # A fresh container has no package lists, or old ones. They can be had without root in a
        # place of our own; Dir::State::status is absolute and stays the system's.
        private = _private_apt(temporary / "apt")
        _run([apt, *private, "update"], temporary)
        _run([apt, *private, "download", PACKAGE], temporary)
    package = next(temporary.glob(f"{PACKAGE}_*.deb"), None)
    if package is None:
        raise _FetchError("apt-get download left no package")
    _run([unpack, "-x", str(package), "unpacked"], temporary)
    return _complete(temporary / "unpacked" / PACKAGE_FOLDER.relative_to("/"))


def _private_apt(place: Path) -> list[str]:
    """Options that make apt-get keep its lists and its cache in ``place``."""
    for name in ("state", "lists/partial", "cache/archives/partial"):
        (place / name).mkdir(parents=True)
    settings = {"Dir::State": "state", "Dir::State::Lists": "lists", "Dir::Cache": "cache"}
    return [
        word for name, sub in settings.items() for word in ("-o", f"{name}={place.resolve() / sub}")
    ]


def _with_torchvision(temporary: Path) -> Path:
    try:
        from torchvision.datasets import FashionMNIST

        FashionMNIST(str(temporary), download=True)
    except (ImportError, OSError, RuntimeError, http.client.HTTPException) as error:
        raise _FetchError(" ".join(str(error).split()) or type(error).__name__) from error
    return _complete(temporary / "FashionMNIST" / "raw")


def _complete(found: Path) -> Path:
    missing = [name for name in FILES if not (found / f"{name}.gz").is_file()]
    if missing:
        raise _FetchError(f"what was fetched lacks {', '.join(missing)}")
    return found


def _program(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise _FetchError(f"no {name} on this machine")
    return path


def _run(command: list[str], where: Path) -> None:
    try:
        # The words are our own, and no shell reads them.
        subprocess.run(  # noqa: S603
            command,
            cwd=where,
            env={**os.environ, "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=COMMAND_SECONDS,
            check=True,
        )
    except subprocess.CalledProcessError as error:
        lines = [line.strip() for line in (error.stdout + error.stderr).splitlines()]
        last = next((line for line in reversed(lines) if line), "no message")
        raise _FetchError(f"{_short(command)} failed: {last}") from error
    except subprocess.TimeoutExpired as error:
        raise _FetchError(f"{_short(command)} took over {COMMAND_SECONDS} s") from error


def _short(command: list[str]) -> str:
    options = {"-o", "-x"}
    words = [w for w in command[1:] if w not in options and not w.startswith("Dir::")]
    return " ".join([Path(command[0]).name, *words])


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
