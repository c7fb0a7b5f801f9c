"""A tree of photos as tar shards and as parquet files, as others make them."""

import io
import json
import tarfile

import numpy as np


def photos_of(tree, part):
    """(class, label, file) of each photo of a part, in the order of the tree."""
    wnids = sorted(folder.name for folder in (tree / "train").iterdir())
    return [
        (wnid, label, file)
        for label, wnid in enumerate(wnids)
        for file in sorted((tree / part / wnid).iterdir())
    ]


def shuffled(items):
    """In an order that tells nothing."""
    order = np.random.Generator(np.random.PCG64(0)).permutation(len(items))
    return [items[place] for place in order]


def add(tar, name, content):
    """A member of these bytes."""
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


def write_shards(tree, folder, by="cls", of=5):
    """``folder/photos-{train,val}-<number>.tar`` of so many photos each, shuffled, in the layout of
    webdataset: with ``by`` "json" keys are numbers and the .json file tells the name."""
    folder.mkdir(parents=True)
    for part in ("train", "val"):
        photos = shuffled(photos_of(tree, part))
        for begin in range(0, len(photos), of):
            with tarfile.open(folder / f"photos-{part}-{begin // of:04d}.tar", "w") as tar:
                for place, (wnid, label, file) in enumerate(photos[begin : begin + of]):
                    if by == "cls":
                        key = f"{wnid}/{file.stem}"
                        add(tar, f"{key}.cls", str(label).encode())
                    else:
                        key = f"{begin + place:08d}"
                        told = {"label": label, "filename": f"{wnid}/{file.name}", "width": 3}
                        add(tar, f"{key}.json", json.dumps(told).encode())
                    add(tar, f"{key}.jpg", file.read_bytes())
    return folder


def write_parquet(tree, folder, of=7, group=3, compression="snappy", **change):
    """``folder/data/{train,validation}-<n>-of-<m>.parquet`` of so many rows each, shuffled, as the
    Hugging Face copy of ImageNet: the path is the file's name with its class."""
    import pyarrow
    from pyarrow import parquet

    (folder / "data").mkdir(parents=True)
    for part, name in (("train", "train"), ("val", "validation")):
        photos = shuffled(photos_of(tree, part))
        files = -(-len(photos) // of)
        for number in range(files):
            chosen = photos[number * of : (number + 1) * of]
            images = [
                {"bytes": file.read_bytes(), "path": f"{file.stem}_{wnid}{file.suffix}"}
                for wnid, _, file in chosen
            ]
            kind = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
            labels = pyarrow.array([label for _, label, _ in chosen], pyarrow.int64())
            table = pyarrow.table({"image": pyarrow.array(images, kind), "label": labels})
            for column, made in change.items():
                table = made(table, column)
            place = folder / "data" / f"{name}-{number:05d}-of-{files:05d}.parquet"
            parquet.write_table(table, place, row_group_size=group, compression=compression)
    return folder
