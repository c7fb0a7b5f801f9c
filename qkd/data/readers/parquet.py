"""Parquet files as the Hugging Face copy of ImageNet has them: a column ``image`` of
``{bytes, path}`` and a column ``label`` of int64 (torch-free).

Files whose names hold ``train`` and ``val`` (or ``validation``) are read, by pyarrow; those named
``test`` have no labels and are passed over. A photo is called by its ``path``
(`qkd.data.readers.samples`). Of each photo the row group and row are kept: nothing is unpacked.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from qkd.data.images import DataError
from qkd.data.photos.files import Listing
from qkd.data.photos.within import PARQUET
from qkd.data.readers.samples import Found, Sample, find, listing_of, where_in

SUFFIX = PARQUET
LARGEST_GROUP = 2**31  # bytes: a row group is in memory as a whole


def read(folder: Path) -> Listing:
    """The photos of the parquet files in ``folder``. Raises DataError, which names file and row."""
    found = find(folder, SUFFIX)
    if found is None:
        raise DataError(f"there are no *train*{SUFFIX} and *val*{SUFFIX} files in {folder}")
    return listed(found)


def listed(found: Found) -> Listing:
    """The photos of these files."""
    try:
        import pyarrow  # noqa: F401 (asked for once, before anything is read)
    except ImportError as error:
        raise DataError(
            f"{found.root / found.train[0]}: parquet files are read by pyarrow: make parquet "
            "installs it"
        ) from error
    return listing_of(found, _samples)


def _samples(root: Path, name: str, number: int) -> Iterator[Sample]:
    """The photos of a file, in the order of its rows."""
    from pyarrow import ArrowException
    from pyarrow.parquet import ParquetFile

    path, before = root / name, 0
    try:
        with ParquetFile(path) as file:
            _require_columns(path, file.schema_arrow)
            for group in range(file.num_row_groups):
                if file.metadata.row_group(group).total_byte_size > LARGEST_GROUP:
                    raise DataError(f"{path}: row group {group} is larger than {LARGEST_GROUP}")
                columns = ["image.bytes", "image.path", "label"]
                table = file.read_row_group(group, columns=columns, use_threads=False)
                for row, (called, label, size) in enumerate(_rows(table)):
                    where = where_in(root, name, f"row {before + row}")
                    if size is None or label is None or called is None:
                        raise DataError(f"{where} lacks bytes, path or label: remove or mend it")
                    yield Sample(called, label, size, (number, group, row), where)
                before += len(table)
    except DataError:
        raise
    except (ArrowException, OSError, ValueError) as error:
        raise DataError(
            f"{path} cannot be read after row {before} ({error}): copy it again"
        ) from error


def _require_columns(path: Path, schema: Any) -> None:
    """Raises DataError where the file's columns are not those."""
    from pyarrow import types

    for column in ("image", "label"):
        if column not in schema.names:
            raise DataError(f"{path} has no column {column!r}, but {', '.join(schema.names)}")
    image, label = (schema.field(column).type for column in ("image", "label"))
    if label != "int64":
        raise DataError(f"{path}: column 'label' is of {label}, not int64")
    fields = {field.name: field.type for field in image} if types.is_struct(image) else {}
    texts, binaries = (fields.get(field) for field in ("path", "bytes"))
    if not (texts in ("string", "large_string") and binaries in ("binary", "large_binary")):
        raise DataError(f"{path}: column 'image' is of {image}, not struct<bytes, path>")


def _rows(table: Any) -> Iterator[tuple[str | None, int | None, int | None]]:
    """Path, label and number of bytes of each row of a table."""
    from pyarrow import compute

    image = table["image"]
    sizes = compute.binary_length(compute.struct_field(image, "bytes"))
    columns = (compute.struct_field(image, "path"), table["label"], sizes)
    yield from zip(*(column.to_pylist() for column in columns), strict=True)
