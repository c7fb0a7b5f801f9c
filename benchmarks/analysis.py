"""By which analysis the runs are read, and which were seen before it was fixed (torch-free).

Records carry no date, and a seed that is run again repeats what was seen, whenever that is. So what
was committed by then is named here by its seeds; a launch before that day tells of the rest. A
matrix that was run later repeats it too where it has the same cells.
"""

from collections.abc import Iterable
from pathlib import Path

DATE = "2026-11-29"  # the day on which it was fixed
FILE = Path(__file__).with_name(f"analysis-{DATE}.md")

# By matrix and scale the day on which its row was fixed anew, and the texts of those days.
AMENDED: dict[tuple[str, str], str] = {("cifar100", "laptop"): "2026-11-30"}
AMENDMENTS = [FILE.with_name(f"analysis-{day}.md") for day in sorted(set(AMENDED.values()))]

# By matrix and scale the seeds whose records were committed by that day.
SEEN: dict[tuple[str, str], tuple[int, ...]] = {
    ("ablation", "laptop"): (0, 1, 2, 3, 4),
    ("lengths", "laptop"): (0, 1, 2),
    ("rivals", "laptop"): (0, 1, 2),
    ("tuning", "laptop"): (100,),
}

# By matrix and scale the seeds of which some cells are those of a matrix above.
REPEATED: dict[tuple[str, str], tuple[int, ...]] = {
    ("evidence", "laptop"): (0, 1, 2),  # qkd, kd and qat of lengths
    ("rivals", "laptop"): (3, 4),  # qkd and qat of the ablation
    ("rivals-today", "laptop"): (0, 1, 2, 3, 4),  # likewise, and its kd as apprentice
    ("sensitivity", "laptop"): (0, 1, 2),  # qkd, qkd-ce and kd of lengths
}


def was_seen(matrix: str, scale: str, seeds: Iterable[int], launched: Iterable[str] = ()) -> bool:
    """Whether one of a matrix's runs was seen before the analysis was fixed; ``launched`` are the
    days (2026-11-29) on which it was launched, as far as they are known."""
    key = matrix, scale
    seen = (*SEEN.get(key, ()), *REPEATED.get(key, ()))
    fixed = AMENDED.get(key, DATE)
    return any(seed in seen for seed in seeds) or any(day < fixed for day in launched)
