"""All that can be taken away, as one archive beside the page: the same bytes from the same page."""

import io
from collections.abc import Iterable
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from report.drawing import Picture, standalone

ARCHIVE = "takeaway.zip"
LONG_AGO = (1980, 1, 1, 0, 0, 0)  # the earliest that the format knows


def archive(tables: Iterable[dict[str, str]], pictures: Iterable[Picture]) -> bytes:
    """The files of each table, and each figure as SVG."""
    content: dict[str, str] = {}
    for own in tables:
        content |= {f"tables/{name}": text for name, text in own.items()}
    content |= {f"figures/{one.name}.svg": standalone(one.svg) for one in pictures}
    buffer = io.BytesIO()
    with ZipFile(buffer, "w", ZIP_DEFLATED) as file:
        for name, text in content.items():
            entry = ZipInfo(name, LONG_AGO)
            entry.compress_type = ZIP_DEFLATED
            file.writestr(entry, text.encode(errors="replace"))
    return buffer.getvalue()
