"""Files of torch.save as people have them: read, or refused in a line, and never run."""

import argparse
import collections
import contextlib
import datetime
import enum
import io
import os
import pathlib
import pickle
import shutil
import types

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from qkd.weights.unpickling import StandIn, UnsafeFile, unpickled


class Colour(enum.Enum):
    RED = 1


class Config(dict):
    """As EasyDict, CfgNode and others: items and attributes."""

    def __init__(self, **items):
        super().__init__(**items)
        self.__dict__.update(items)


class Rows(list):
    pass


class Slotted:
    __slots__ = ("x",)

    def __init__(self):
        self.x = 1


class Stated:
    def __getstate__(self):
        return (1, "two", [3])

    def __setstate__(self, state):
        raise AssertionError("run")


class Net(torch.nn.Linear):
    pass


BESIDE = {
    "a namespace": argparse.Namespace(lr=0.1, layers=[1, 2]),
    "a namespace of types": types.SimpleNamespace(a=1),
    "a path": pathlib.PurePosixPath("a") / "b",
    "a numpy number": np.float64(91.2),
    "a numpy array": np.arange(3.0),
    "a numpy type": np.dtype("float32"),
    "a member of an enumeration": Colour.RED,
    "a dictionary of a kind": Config(lr=0.1, model=Config(depth=20)),
    "a default dictionary": collections.defaultdict(list, a=[1]),
    "a list of a kind": Rows([1, 2, 3]),
    "an object with slots": Slotted(),
    "an object with a state of its own": Stated(),
    "an optimiser": torch.optim.SGD([torch.nn.Parameter(torch.ones(2))], lr=0.1),
    "a time": datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC),
    "a function": shutil.rmtree,
    "a complex number": 1 + 2j,
    "a set": {1, 2},
    "a slice": slice(1, 2),
}


def saved(content, **options):
    file = io.BytesIO()
    torch.save(content, file, **options)
    return file.getvalue()


@pytest.mark.parametrize("value", [Net(2, 2), Net, [Net(2, 2)]], ids=["whole", "class", "list"])
def test_a_network_beside_them_is_passed_over_too(value):
    found = unpickled(saved({"model": value, "state_dict": Net(2, 2).state_dict()}))
    assert found["state_dict"]["weight"].shape == (2, 2)
    # The old format has its own way for networks, with their source.
    assert_refused(saved({"model": value}, _use_new_zipfile_serialization=False))


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("value", BESIDE.values(), ids=BESIDE)
def test_whatever_lies_beside_the_tensors_does_not_keep_them_from_being_read(value, legacy):
    weight = torch.randn(3, 2)
    content = {"args": value, "state_dict": {"weight": weight}, "more": [value]}
    found = unpickled(saved(content, _use_new_zipfile_serialization=not legacy))
    assert torch.equal(found["state_dict"]["weight"], weight)


def test_a_stand_in_keeps_nothing_and_says_what_it_stands_for():
    found = unpickled(saved({"args": argparse.Namespace(lr=0.1), "config": Config(lr=1)}))
    for name, kind in (("args", "argparse.Namespace"), ("config", f"{__name__}.Config")):
        assert isinstance(found[name], StandIn)
        assert (type(found[name]).__name__, list(found[name]), vars(found[name])) == (kind, [], {})


def test_afterwards_torch_takes_no_more_for_safe_than_before():
    before = set(torch.serialization.get_safe_globals())
    unpickled(saved({"args": argparse.Namespace()}))
    assert set(torch.serialization.get_safe_globals()) == before
    with pytest.raises(pickle.UnpicklingError):
        torch.load(io.BytesIO(saved(argparse.Namespace())), weights_only=True)


class Call:
    """Pickles as a call of a function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("function", [shutil.rmtree, os.system, eval, exec, open, print])
def test_no_function_of_a_file_is_called(function, legacy, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for argument in ("exploded", "open('exploded', 'w')", "touch exploded"):
        data = saved(
            {"x": Call(function, argument), "w": torch.ones(1)},
            _use_new_zipfile_serialization=not legacy,
        )
        if function is os.system:
            with pytest.raises(UnsafeFile, match=r"it would run (posix|nt)\.system: do not use it"):
                unpickled(data)
        else:
            assert isinstance(unpickled(data)["x"], StandIn)
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr() == ("", "")


def assert_refused(data):
    """In one line of our own, without torch's advice."""
    with pytest.raises(UnsafeFile) as caught:
        unpickled(data)
    words = str(caught.value)
    assert "\n" not in words
    assert not [word for word in ("weights_only", "safe_globals", "trust") if word in words]
    return words


def test_what_cannot_be_read_safely_is_refused_without_torchs_advice():
    whole = saved({"w": torch.ones(3)})
    for data in (b"", b"x", b"PK", b"\x80\x02", whole[:100], whole[:-40], b"\x80\x02}q\x00."):
        assert_refused(data)
    assert_refused(saved({"w": torch.ones(3)}, pickle_protocol=5))
    assert "os" in assert_refused(saved(Call(os.system, "true")))


@pytest.mark.filterwarnings("ignore")  # torch would have people use others
def test_a_torchscript_archive_is_called_what_it_is():
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), buffer)
    assert "TorchScript" in assert_refused(buffer.getvalue())


WHOLE = {
    legacy: saved(
        {"state": {"w": torch.arange(6.0)}, "args": argparse.Namespace(a=1), "n": np.float64(1)},
        _use_new_zipfile_serialization=not legacy,
    )
    for legacy in (False, True)
}


@given(st.booleans(), st.data())
def test_a_damaged_file_is_read_or_refused(legacy, data):
    whole = bytearray(WHOLE[legacy])
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(UnsafeFile):
        unpickled(bytes(whole))
