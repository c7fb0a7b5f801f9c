"""Nothing that a record holds moves the cursor."""

from hypothesis import given
from hypothesis import strategies as st

from qkd.records.files import printable


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
