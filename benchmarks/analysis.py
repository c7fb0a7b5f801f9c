"""By which analysis the runs are read, and which were seen before it was fixed (torch-free).

Records carry no date, and a seed that is run again repeats what was seen, whenever that is. So what
was committed by then is named here by its seeds; a launch before that day tells of the rest.
"""

from collections.abc import Iterable
from pathlib import Path

DATE = "2026-11-29"  # the day on which it was fixed
FILE = Path(__file__).with_name(f"analysis-{DATE}.md")

# By matrix and scale the seeds whose records were committed by that day.
SEEN: dict[tuple[str, str], tuple[int, ...]] = {
    ("ablation", "laptop"): (0, 1, 2, 3, 4),
    ("lengths", "laptop"): (0, 1, 2),
    ("rivals", "laptop"): (0, 1, 2),
    ("tuning", "laptop"): (100,),
}


def was_seen(matrix: str, scale: str, seeds: Iterable[int], launched: Iterable[str] = ()) -> bool:
    """Whether one of a matrix's runs was seen before the analysis was fixed; ``launched`` are the
    days (2026-11-29) on which it was launched, as far as they are known."""
    seen = SEEN.get((matrix, scale), ())
    return any(seed in seen for seed in seeds) or any(day < DATE for day in launched)
