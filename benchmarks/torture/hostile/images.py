"""Hostile images in a tree of one's own: refused by name, or read to the pixels that they hold."""

import io
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from benchmarks.torture.figures import Row
from benchmarks.torture.hostile.outcome import LOST, SILENT, Outcomes, hashes
from benchmarks.torture.hostile.texts import inputs, texts
from qkd.data.images import DataError, content_digest
from qkd.data.readers.folder import read_tree

PIXELS = (6, 5, 3)
CLASSES = ("cat", "dog")
Spoil = Callable[[Path], None]  # of a whole tree


def images(count: int, folder: Path, examples: list[str]) -> Row:
    """So many trees, each whole but for one thing; ``folder`` holds them for a while."""
    canary = folder / "executed"
    whole, tree = folder / "whole", folder / "tree"
    _write(whole)
    true = content_digest(read_tree(whole))
    outcomes = Outcomes("images", canary, examples)
    for number, spoil in enumerate(inputs(_by_hand(canary), _cut(), count)):
        shutil.copytree(whole, tree)
        spoil(tree)
        before = hashes(tree)
        try:
            found = content_digest(read_tree(tree))
        except DataError:
            found = ""
        outcomes.count(is_refused=not found)
        outcomes.look_for_execution(f"input {number}")
        if found not in ("", true):
            outcomes.fault(SILENT, f"input {number} is read with other pixels")
        if hashes(tree) != before:
            outcomes.fault(LOST, f"input {number} was changed")
        shutil.rmtree(tree)
    return outcomes.row()


def _pixels(seed: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, PIXELS, np.uint8)


def _encoded(pixels: NDArray[np.generic], kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def _write(root: Path) -> None:
    """Two images of each class in both parts."""
    for part in ("train", "test"):
        for label, name in enumerate(CLASSES):
            place = root / part / name
            place.mkdir(parents=True)
            for number in range(2):
                seed = 100 * label + 10 * number + (part == "test")
                (place / f"{number}.png").write_bytes(_encoded(_pixels(seed)))


def _instead(content: bytes, tree: Path) -> None:
    """One image of the tree holds this."""
    (tree / "train" / "dog" / "1.png").write_bytes(content)


def _beside(name: str, content: bytes, tree: Path) -> None:
    """One file more among the images."""
    (tree / "train" / "dog" / name).write_bytes(content)


def _no_class(tree: Path) -> None:
    shutil.rmtree(tree / "test" / "dog")


def _empty_class(tree: Path) -> None:
    (tree / "train" / "empty").mkdir()
    (tree / "test" / "empty").mkdir()


def _link(tree: Path) -> None:
    (tree / "train" / "dog" / "2.png").symlink_to("nowhere.png")


def _folder(tree: Path) -> None:
    (tree / "train" / "dog" / "2.png").mkdir()


def _by_hand(canary: Path) -> list[Spoil]:
    whole = _encoded(_pixels(110))
    deep = (np.arange(30).reshape(6, 5) * 1000).astype(np.uint16)
    contents = [
        b"",
        b"not an image\n",
        whole[: len(whole) // 2],
        f"$(touch {canary})".encode(),
        _encoded(_pixels(110)[:5]),
        _encoded(_pixels(110)[..., 0]),
        _encoded(deep),
        b"version https://git-lfs.github.com/spec/v1\n",
        b"\x89PNG\r\n\x1a\n",
        b"\xff\xd8\xff\xe0",
    ]
    names = [name for name in texts(canary) if "/" not in name and len(name) < 200 and name != ".."]
    more = [partial(_beside, f"{name}.txt", b"x") for name in ("notes", *names[:4])]
    others = [_no_class, _empty_class, _link, _folder]
    return [*(partial(_instead, one) for one in contents), *others, *more]


def _cut() -> st.SearchStrategy[Spoil]:
    """One image cut anywhere, or of another size."""
    whole = _encoded(_pixels(110))
    cut = st.integers(0, len(whole) - 1).map(lambda end: partial(_instead, whole[:end]))
    sides = st.tuples(st.integers(1, 12), st.integers(1, 12))
    sized = sides.filter(lambda of: of != PIXELS[:2]).map(
        lambda of: partial(_instead, _encoded(np.zeros((*of, 3), np.uint8)))
    )
    return cut | sized
