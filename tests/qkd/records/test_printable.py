"""Nothing that a record holds moves the cursor."""

import sys
from contextlib import redirect_stderr, redirect_stdout
from io import BytesIO, TextIOWrapper

from hypothesis import given
from hypothesis import strategies as st

from qkd.records.files import print_plainly_where_needed, printable


def test_escape_sequences_lose_their_escape() -> None:
    assert printable("a\x1b[2Jb\x07\r") == "a\N{REPLACEMENT CHARACTER}[2Jb" + 2 * (
        "\N{REPLACEMENT CHARACTER}"
    )
    assert printable("two\nlines, \N{GREEK SMALL LETTER ALPHA}") == (
        "two\nlines, \N{GREEK SMALL LETTER ALPHA}"
    )


@given(st.text())
def test_what_is_left_is_printable(text: str) -> None:
    shown = printable(text)
    assert len(shown) == len(text)
    assert all(character.isprintable() or character == "\n" for character in shown)


def test_what_a_terminal_lacks_is_printed_as_something_that_it_has() -> None:
    with (
        redirect_stdout(TextIOWrapper(BytesIO(), encoding="ascii")) as out,
        redirect_stderr(TextIOWrapper(BytesIO(), encoding="latin-1")) as err,
    ):
        print_plainly_where_needed()
        print("91.50 ± 0.25 …\N{SNOWMAN}")
        print("91.50 ± 0.25 …\N{SNOWMAN}", file=sys.stderr)
    out.seek(0)
    assert out.read() == "91.50 +- 0.25 ...?\n"
    err.seek(0)
    assert err.read() == "91.50 ± 0.25 ...?\n"
