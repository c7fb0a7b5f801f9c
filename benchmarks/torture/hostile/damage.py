"""What may be wrong with a record: one thing, done to one of its files."""

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from hypothesis import strategies as st

from benchmarks.torture.hostile.texts import texts
from qkd.records.record import Record

FILES = ("result.json", "stage.json", "env.json", "metrics.jsonl")
HUGE = 10**400
BAD: tuple[Any, ...] = ("x", None, True, -1, 0, 1.5, 10**30, 1.7e308, [], {}, HUGE)


class Damage(NamedTuple):
    """What is done to a record's file, and in words what that is."""

    file: str
    words: str
    change: Callable[[bytes], bytes]

    def apply(self, record: Record) -> None:
        """Does it."""
        path = record.path / self.file
        path.write_bytes(self.change(path.read_bytes()))


def by_hand(canary: Path) -> list[Damage]:
    """Numbers that do not fit, files that are none, and text where numbers belong."""
    result = [
        (("student", "correct1"), HUGE),
        (("student", "correct1"), 0),
        (("student", "top1"), 99.9),
        (("student", "top1"), -1),
        (("student", "top1"), "99.9"),
        (("student", "images"), 1),
        (("student",), texts(canary)[0]),
        (("student",), None),
        (("steps",), 1),
        (("audit",), "x"),
        (("integer",), {"agreement": 2}),
    ]
    whole = {
        "nothing": b"",
        "no JSON": b"not json",
        "a list": b"[]",
        "depth": b"[" * 100_000,
        "no number": b'{"student": {"top1": NaN}}',
        "no text": b"\xff\xfe",
    }
    set_to = [_set("result.json", where, value) for where, value in result]
    replaced = [Damage("result.json", words, partial(_instead, of)) for words, of in whole.items()]
    others = [
        Damage("metrics.jsonl", "no metrics", partial(_instead, b"{")),
        Damage("metrics.jsonl", "a line more", partial(_append, b'{"step": 1e999}\n')),
        Damage("env.json", "half a character", partial(_instead, b'{"host": "\\ud800"}')),
        _set("stage.json", ("history", "seed"), 7),
        _set("env.json", ("device_name",), texts(canary)[1]),
    ]
    # In turn, so that a few of them are of every sort.
    return [one for trio in _in_turn([set_to, replaced, others]) for one in trio]


def drawn() -> st.SearchStrategy[Damage]:
    """A file cut anywhere, a byte of it changed, or a leaf of the result set to something else."""
    place = st.floats(0, 1, exclude_max=True)
    cut = st.tuples(st.sampled_from(FILES), place).map(
        lambda of: Damage(of[0], f"{of[0]} cut at {of[1]:.3f}", partial(_cut, of[1]))
    )
    byte = st.tuples(st.sampled_from(FILES), place, st.integers(0, 255)).map(
        lambda of: Damage(of[0], f"{of[0]} byte at {of[1]:.3f}", partial(_byte, of[1], of[2]))
    )
    leaf = st.tuples(place, st.sampled_from(BAD)).map(
        lambda of: Damage("result.json", f"leaf {of[0]:.3f}", partial(_leaf, of[0], of[1]))
    )
    return cut | byte | leaf


def _in_turn(lists: list[list[Damage]]) -> Iterator[list[Damage]]:
    for number in range(max(map(len, lists))):
        yield [one[number] for one in lists if number < len(one)]


def _instead(content: bytes, _: bytes) -> bytes:
    return content


def _append(content: bytes, before: bytes) -> bytes:
    return before + content


def _cut(place: float, before: bytes) -> bytes:
    return before[: int(place * len(before))]


def _byte(place: float, value: int, before: bytes) -> bytes:
    data = bytearray(before)
    data[int(place * len(data))] = value
    return bytes(data)


def _set(file: str, where: tuple[str, ...], value: Any) -> Damage:
    return Damage(file, f"{'.'.join(where)} set", partial(_with, where, value))


def _with(where: tuple[str, ...], value: Any, before: bytes) -> bytes:
    content = json.loads(before)
    inner = content
    for name in where[:-1]:
        inner = inner[name]
    inner[where[-1]] = value
    return json.dumps(content).encode()


def _leaf(place: float, value: Any, before: bytes) -> bytes:
    found = list(_leaves(json.loads(before), ()))
    return _with(found[int(place * len(found))], value, before)


def _leaves(content: Any, where: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    items = content.items() if isinstance(content, dict) else enumerate(content)
    for name, inner in items:
        yield (*where, name)
        if isinstance(inner, (dict, list)):
            yield from _leaves(inner, (*where, name))
