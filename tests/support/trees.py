"""Images for tests: made-up ones as trees, and the real CIFAR-10 where it is at hand."""

import importlib.util
from pathlib import Path

import numpy as np
from PIL import Image

SHARED = Path(__file__).parents[3] / "shared" / "data"


def real_cifar(name):
    """Of ``cifar10`` or ``cifar100``: (images uint8 (N, 32, 32, 3), official labels) by part, and
    the names of the classes; None where the images are not on this machine."""
    unpack = SHARED / "unpack_cifar10.py"
    if not (unpack.is_file() and (SHARED / f"{name}.npz").is_file()):
        return None
    spec = importlib.util.spec_from_file_location("unpack", unpack)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with np.load(SHARED / f"{name}.npz") as packed:
        names = packed["classes"].tolist()
        return {part: module.read_split(packed, part) for part in ("train", "test")}, names


def pictures(seed, *shape):
    """Made-up images, uint8 of a shape, different for each seed."""
    generator = np.random.Generator(np.random.PCG64(seed))
    return generator.integers(0, 256, shape, np.uint8)


def write_tree(root, parts, names):
    """``root/{train,test}/<class>/<number>.png`` of (images (N, H, W[, C]), labels) by part."""
    for part, (images, labels) in parts.items():
        for name in names:
            (root / part / name).mkdir(parents=True, exist_ok=True)
        for number, (image, label) in enumerate(zip(images, labels, strict=True)):
            Image.fromarray(image).save(root / part / names[label] / f"{number:05d}.png")
    return root
