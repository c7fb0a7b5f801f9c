"""Writes trees of images for tests."""

import numpy as np
from PIL import Image


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
