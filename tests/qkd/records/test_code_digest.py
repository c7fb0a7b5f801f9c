"""Which edits of a user's file count as another code."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qkd.records import code_digest as module
from qkd.records.code_digest import code_digest, digest_of

MINE = '''
"""A network of mine."""

import torch

from benchmarks.matrix import Grid, Matrix
from qkd.phases import SELF_STUDY, qkd
from helpers import block

WIDTH = 4


def net(width):
    """It has one layer."""
    return torch.nn.Linear(width, WIDTH)  # no bias would do


def matrix(scale, seeds):
    return Matrix(name="mine", grids=(Grid(methods=(qkd(), SELF_STUDY)),))
'''
SAME = {
    "a comment": ("  # no bias would do", ""),
    "a docstring": ("It has one layer.", "It has a layer, and no more."),
    "the file's docstring": ('"""A network of mine."""', ""),
    "blank lines": ("\n\n\ndef net", "\n\n\n\n\ndef net"),
    "layout": ("nn.Linear(width, WIDTH)", "nn.Linear(\n        width,\n        WIDTH,\n    )"),
    "line ends": ("\n", "\r\n"),
    "what matrix() says": ('name="mine"', 'name="other"'),
    "a name that only matrix() uses": ("SELF_STUDY, qkd", "SELF_STUDY, CO_STUDY, qkd"),
}  # fmt: skip
OTHER = {
    "a number": ("WIDTH = 4", "WIDTH = 5"),
    "a call": ("nn.Linear", "nn.Bilinear"),
    "a default": ("def net(width)", "def net(width=4)"),
    "the arguments of matrix()": ("matrix(scale, seeds)", "matrix(scale, seeds, more=WIDTH)"),
    "a decorator of matrix()": ("def matrix", "@print\ndef matrix"),
    "where a name of the user's comes from": ("from helpers", "from better_helpers"),
    "which name of the user's": ("import block", "import wide as block"),
    "a statement": ("WIDTH = 4", "WIDTH = 4\ntorch.set_num_threads(2)"),
    "an order": ("torch.nn.Linear(width, WIDTH)", "torch.nn.Linear(WIDTH, width)"),
    "a kind of number": ("WIDTH = 4", "WIDTH = 4.0"),
    "a truth": ("WIDTH = 4", "WIDTH = True"),
}


def edited(old, new):
    assert old in MINE
    return MINE.replace(old, new).encode()


def digest(text, is_matrix=True):
    return digest_of(text if isinstance(text, bytes) else text.encode(), is_matrix)


@pytest.mark.parametrize("edit", SAME.values(), ids=SAME)
def test_what_cannot_change_a_number_is_the_same_code(edit):
    assert digest(edited(*edit)) == digest(MINE)


@pytest.mark.parametrize("edit", OTHER.values(), ids=OTHER)
def test_what_could_change_a_number_is_another_code(edit):
    assert digest(edited(*edit)) != digest(MINE)


def test_true_and_one_are_not_the_same():
    assert digest("x = True") != digest("x = 1")
    assert digest("def f():\n    return") != digest("def f():\n    return None")
    assert digest("x = None") != digest("x = ...")


def test_only_a_matrix_file_has_a_function_that_plans():
    edit = edited('name="mine"', 'name="other"')
    assert digest(edit, is_matrix=False) != digest(MINE, is_matrix=False)


def test_a_function_matrix_that_other_code_calls_is_code():
    used = MINE + "\n\ndef confusion():\n    return matrix(1, 2)\n"
    assert digest(used) != digest(used.replace('name="mine"', 'name="other"'))


def test_a_name_that_a_network_uses_counts_although_it_comes_from_the_benchmarks():
    used = MINE + "\n\ndef other():\n    return qkd\n"
    swapped = used.replace("SELF_STUDY, qkd", "SELF_STUDY, qkd_of as qkd")
    assert digest(used) != digest(swapped)


def test_of_what_is_no_python_every_byte_counts():
    assert digest("def :") != digest("def  :")
    assert digest(b"\x00\xff") != digest(b"\x00\xfe")


def test_the_digest_is_for_ever():
    # Records hold it: a changed rule would call every user's code changed.
    assert digest(MINE) == "867b3dcfe535f9fe8510745fc2ea4ae3d291fbee86185f6574a1a269da1a84bb"


WORDS = st.lists(st.sampled_from(["a = 1", "b = a", "def f(): return a", "f()", "a = 2"]))


@given(WORDS, WORDS)
def test_two_codes_have_one_digest_only_where_they_are_equal(one, other):
    texts = ["\n".join(one), "\n".join(other)]
    assert (digest(texts[0]) == digest(texts[1])) == (one == other)


def test_a_file_is_read_again_only_where_it_has_changed(tmp_path, monkeypatch):
    path = tmp_path / "mine.py"
    path.write_text("x = 1\n")
    first = code_digest(path)
    assert first == digest_of(b"x = 1")
    monkeypatch.setattr(module, "digest_of", lambda *_: pytest.fail("read again"))
    assert code_digest(path) == first
    monkeypatch.undo()
    path.write_text("x = 22\n")
    assert code_digest(path) == digest_of(b"x = 22")


def test_what_is_no_file_of_code_has_no_digest(tmp_path, monkeypatch):
    (tmp_path / "folder.py").mkdir()
    os.mkfifo(tmp_path / "pipe.py")
    (tmp_path / "secret.txt").write_text("x = 1")
    for name in ("folder.py", "pipe.py", "secret.txt", "gone.py", "nul\0.py", "x" * 300 + ".py"):
        assert code_digest(tmp_path / name) is None, name
    monkeypatch.setattr(module, "LARGEST", 4)
    (tmp_path / "large.py").write_text("x = 1\n")
    assert code_digest(tmp_path / "large.py") is None
