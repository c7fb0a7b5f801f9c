"""Hostile text, and how inputs of hand and of hypothesis are put together."""

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

V = TypeVar("V")
MARK = '<b id="torture">'  # stands in a page as it is where text became markup


def texts(canary: Path) -> list[str]:
    """Made by hand: what HTML, shell, make, LaTeX, CSV, paths and terminals might take for more
    than text. What any of it would run makes the file ``canary``, and does nothing else."""
    touch = f"touch {canary}"
    return [
        f"{MARK}x</b>",
        f"</script><script>document.title='executed'</script>{MARK}",
        f"$({touch})",
        f"`{touch}`",
        f"; {touch};",
        f"| {touch}",
        f"$(shell {touch})",
        f"x\n{touch}\n",
        f"${{{touch}}}",
        f"{{{{ ''.__class__ }}}}{MARK}",
        f"=HYPERLINK({MARK})",
        "+1+1",
        "@SUM(1)",
        "\\input{x}\\write18{x}",
        "%n%s%x",
        "../../x",
        "/x/y",
        "..",
        "\x1b[2J\x1b]0;x\x07",
        "\u202egnp.exe",
        "\ufeffx",
        "x" * 3000,
        "[red]x[/red]",
        "'\"\\",
    ]


def text_strategy(canary: Path) -> st.SearchStrategy[str]:
    """Pieces of these and any characters but NUL and halves of surrogates, put together."""
    characters = st.characters(exclude_characters="\0", codec="utf-8")
    pieces = st.sampled_from(texts(canary)) | st.text(characters, max_size=8)
    return st.lists(pieces, min_size=1, max_size=4).map("".join)


def inputs(by_hand: Sequence[V], strategy: st.SearchStrategy[V], count: int) -> list[V]:
    """So many: those made by hand, as far as they are no more than half, then hypothesis' own;
    the same in every run."""
    found = list(by_hand[: max(1, count // 2)])[:count]
    missing = count - len(found)
    if missing:
        drawn: list[V] = []

        @settings(
            max_examples=missing,
            derandomize=True,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(strategy)
        def draw(value: V) -> None:
            drawn.append(value)

        draw()
        found += drawn[:missing]
    return found
