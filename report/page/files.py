"""cells.csv, summary.csv, and the archives of what can be taken away and of the frames: the same
bytes from the same records."""

import io
import json
from collections.abc import Callable, Iterable, Sequence
from importlib.util import find_spec
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import pandas as pd

from qkd.records.files import printable
from report.analysis.sections import Section
from report.figures.drawing import Picture, standalone
from report.frames.curves import curves
from report.frames.layers import layers
from report.page.takeaway import no_formula

ARCHIVE, FRAMES_FILE = "takeaway.zip", "frames.zip"
LONG_AGO = (1980, 1, 1, 0, 0, 0)  # the earliest that the format knows

OF_A_METHOD = [
    *("matrix", "scale", "dataset", "student", "teacher", "weight_bits", "activation_bits"),
    "method",
]
CELLS = [*OF_A_METHOD, *("seed", "status", "top1", "best_top1", "teacher_top1", "steps", "stage")]
# Where a run left out photos that could not be decoded, and nowhere else.
LEFT_OUT = ["left_out_training", "left_out_test"]
# Where records say which share of the multiply-accumulates has the bits in question, in percent.
SHARE = ["at_bits"]
SUMMARY = [
    *OF_A_METHOD,
    *("status", "top1", "best_top1", "teacher_top1", "n", "mean", "low", "high"),
    *("paper", "mark", "difference", "verdict", "steps"),
]


def cells_csv(sections: Sequence[Section]) -> bytes:
    """One line a cell; nothing in it depends on when or where the cells ran."""
    frame = _together((one.cells for one in sections), [*CELLS, *SHARE, *LEFT_OUT])
    counts = frame[LEFT_OUT].map(lambda count: "" if pd.isna(count) else f"{count:.0f}")
    has_some = bool((frame[LEFT_OUT] > 0).any(axis=None))
    shares = SHARE if bool(frame[SHARE].notna().any(axis=None)) else []
    return _csv(frame.assign(**counts), [*CELLS, *shares, *(LEFT_OUT if has_some else [])])


def summary_csv(sections: Sequence[Section]) -> bytes:
    """One line a method."""
    frames = [one.methods.rename(columns={"claimed": "paper"}) for one in sections]
    return _csv(_together((one.assign(top1=one["mean"]) for one in frames), SUMMARY), SUMMARY)


def _together(frames: Iterable[pd.DataFrame], columns: list[str]) -> pd.DataFrame:
    found = [frame[columns] for frame in frames if len(frame)]
    return pd.concat(found) if found else pd.DataFrame(columns=columns)


def _csv(frame: pd.DataFrame, columns: Sequence[str]) -> bytes:
    """As UTF-8 with line feeds: four decimals, nothing where a number is not known, and no negative
    zero."""
    texts = {
        name: frame[name].map(
            lambda value: "" if pd.isna(value) else f"{round(value, 4) + 0.0:.4f}"
        )
        for name in columns
        if frame[name].dtype == float
    }
    text = frame.assign(**texts).to_csv(columns=list(columns), index=False, lineterminator="\n")
    return text.encode()


def _number(value: float) -> str:
    return "" if pd.isna(value) else f"{round(value, 4) + 0.0:.4f}"


def archive(tables: Iterable[dict[str, str]], pictures: Iterable[Picture]) -> bytes:
    """The files of each table, and each figure as SVG."""
    content: dict[str, str] = {}
    for own in tables:
        content |= {f"tables/{name}": text for name, text in own.items()}
    content |= {f"figures/{one.name}.svg": standalone(one.svg) for one in pictures}
    return _zipped({name: text.encode(errors="replace") for name, text in content.items()})


def frames(sections: Sequence[Section]) -> bytes:
    """The frames with all their columns, as CSV, and as Parquet where pyarrow is there: cells,
    curves (but those of quantizers) and layers."""
    content = {}
    for name, of in FRAMES.items():
        found = [of(section) for section in sections]
        frame = pd.concat(found, ignore_index=True) if found else pd.DataFrame()
        for column in frame:
            if not pd.api.types.is_numeric_dtype(frame[column]):
                frame[column] = frame[column].map(_text)
        content[f"{name}.csv"] = frame.to_csv(index=False, lineterminator="\n").encode()
        if find_spec("pyarrow"):
            content[f"{name}.parquet"] = frame.to_parquet(index=False)
    return _zipped(content)


def _of_all_settings(
    section: Section, frame: Callable[[pd.DataFrame], pd.DataFrame]
) -> pd.DataFrame:
    found = [frame(group.cells).assign(setting=group.setting) for group in section.groups]
    matrix, scale = section.readings.run.key
    whole = pd.concat(found, ignore_index=True)
    whole = whole.assign(matrix=matrix, scale=scale)
    first = ["matrix", "scale", "setting"]
    return whole[[*first, *whole.columns.difference(first, sort=False)]]


def _curves(cells: pd.DataFrame) -> pd.DataFrame:
    found = curves(cells)
    return found[~found["series"].str.startswith("interval ")]


FRAMES: dict[str, Callable[[Section], pd.DataFrame]] = {
    "cells": lambda section: section.cells.drop(columns="records"),
    "curves": lambda section: _of_all_settings(section, _curves),
    "layers": lambda section: _of_all_settings(section, layers),
}


def _text(value: object) -> str:
    """Text that a spreadsheet takes for text, and that every encoding has; others as JSON."""
    return no_formula(printable(value)) if isinstance(value, str) else json.dumps(value)


def _zipped(content: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with ZipFile(buffer, "w", ZIP_DEFLATED) as file:
        for name, data in content.items():
            entry = ZipInfo(name, LONG_AGO)
            entry.compress_type = ZIP_DEFLATED
            file.writestr(entry, data)
    return buffer.getvalue()
