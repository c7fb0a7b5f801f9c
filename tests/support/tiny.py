"""A tree as Tiny-ImageNet's archive unpacks, of made-up pictures."""

from tests.support.jpegs import photo


def write_tiny(root, classes=3, train=4, val=2):
    """``root`` with the lists, so many training images of each class, and validation images whose
    names do not follow their classes. The list of classes is not sorted."""
    wnids = [f"n{number:02d}" for number in range(classes)]
    (root / "val" / "images").mkdir(parents=True)
    (root / "wnids.txt").write_text("".join(f"{wnid}\n" for wnid in reversed(wnids)))
    for label, wnid in enumerate(wnids):
        images = root / "train" / wnid / "images"
        images.mkdir(parents=True)
        (images.parent / f"{wnid}_boxes.txt").write_text(f"{wnid}_0.JPEG\t0\t0\t62\t62\n")
        for number in range(train):
            photo(1000 * label + number, 64, 64, 1 if number == 1 else 3).save(
                images / f"{wnid}_{number}.JPEG"
            )
    lines = []
    for number in range(val * classes):
        name = f"val_{number}.JPEG"
        photo(number, 64, 64).save(root / "val" / "images" / name)
        lines.append(f"{name}\t{wnids[-1 - number % classes]}\t0\t32\t44\t62\n")
    (root / "val" / "val_annotations.txt").write_text("".join(lines))
    return root
