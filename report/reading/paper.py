"""The numbers that are claimed: results/paper.csv, read and checked."""

import csv
import math
from pathlib import Path
from typing import NamedTuple, get_args

from benchmarks.matrix import FULL_PRECISION_BITS
from qkd.marks import Mark
from report.reading.sources import REFERENCE

COLUMNS = (
    "table",
    "dataset",
    "model",
    "method",
    "weight_bits",
    "activation_bits",
    "top1",
    "mark",
    "source",
)
PAPER = REFERENCE.parent / "paper.csv"

# The paper's names for what is a method of ours. AP* distils from a fixed teacher, as Apprentice
# does: that it is plain KD is derived.
OURS = {"ap*": "kd"}

About = tuple[str, str, str, int, int]


class PaperError(ValueError):
    """A line of paper.csv that cannot be used."""


class ClaimedNumber(NamedTuple):
    """A claimed top-1 in percent; ``table`` is empty where it is not known in which table of which
    paper it stands: such a number is shown, and no verdict is computed from it."""

    table: str
    top1: float
    mark: str
    source: str


def paper_file(results: Path) -> Path:
    """The user's own paper.csv where there is one, else the committed one."""
    own = results / PAPER.name
    return own if own.exists() else PAPER


def about(dataset: str, model: str, method: str, weight_bits: int, activation_bits: int) -> About:
    """What a number is about; upper case, dashes and underscores do not matter in names. The
    paper's own name of a method of ours is that of ours."""
    name = plain(method)
    return plain(dataset), plain(model), OURS.get(name, name), weight_bits, activation_bits


def plain(name: str) -> str:
    """The name as it is compared: in small letters, without dashes and underscores."""
    return name.lower().replace("-", "").replace("_", "")


def read_paper(path: Path) -> dict[About, ClaimedNumber]:
    """The claimed numbers. Raises PaperError, naming the file and the line."""
    try:
        text = path.read_text(encoding="utf-8-sig")  # spreadsheets begin with a mark
    except (OSError, ValueError) as error:
        raise PaperError(f"{path}: {error}") from error
    lines = csv.DictReader(text.splitlines(), strict=True)
    numbers: dict[About, ClaimedNumber] = {}
    try:
        if tuple(lines.fieldnames or ()) != COLUMNS:
            raise PaperError(f"the columns must be {','.join(COLUMNS)}")
        for line in lines:
            of, number = _number(line)
            if of in numbers:
                raise PaperError(f"a second number of {', '.join(map(str, of))}")
            numbers[of] = number
    except (ValueError, csv.Error) as error:
        raise PaperError(f"{path}, line {max(1, lines.reader.line_num)}: {error}") from error
    return numbers


def _number(line: dict[str, str]) -> tuple[About, ClaimedNumber]:
    if None in line or None in line.values():
        raise PaperError(f"a line has {len(COLUMNS)} values")
    for column in ("dataset", "model", "method", "source"):
        if not line[column].strip():
            raise PaperError(f"{column} is empty")
    if line["mark"] not in get_args(Mark):
        raise PaperError(f"mark {line['mark']!r} is none of {', '.join(get_args(Mark))}")
    of = about(
        line["dataset"],
        line["model"],
        line["method"],
        _bits(line, "weight_bits"),
        _bits(line, "activation_bits"),
    )
    return of, ClaimedNumber(line["table"], _percent(line["top1"]), line["mark"], line["source"])


def _bits(line: dict[str, str], column: str) -> int:
    text = line[column]
    if not text.isdecimal() or not 1 <= int(text) <= FULL_PRECISION_BITS:
        raise PaperError(f"{column} {text!r} is no number of bits up to {FULL_PRECISION_BITS}")
    return int(text)


def _percent(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 100:
        raise PaperError(f"top1 {text!r} is no number from 0 to 100")
    return value
