import json
from typing import Annotated, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qkd.value import NOT_IDENTITY, Positive, Value, canonical, decode, digest, encode, validated


class Inner(Value, kw_only=True):
    size: int = 3
    options: dict[str, bool | int | float | str] = {}  # noqa: RUF012 (a Struct copies it)


class Outer(Value, kw_only=True):
    rate: Positive
    kind: Literal["a", "b"] = "a"
    note: Annotated[str, msgspec.Meta(extra=NOT_IDENTITY)] = ""
    inner: Inner = Inner()
    rest: tuple[Inner, ...] = ()


def test_the_canonical_form_leaves_out_defaults_and_what_is_no_identity():
    value = Outer(rate=0.5, note="for people", kind="a", rest=(Inner(), Inner(size=4)))
    assert canonical(value) == {"rate": 0.5, "rest": [{}, {"size": 4}]}


def test_a_field_at_its_default_does_not_change_the_digest():
    assert digest(Outer(rate=0.5, kind="a", inner=Inner(size=3))) == digest(Outer(rate=0.5))
    assert digest(Outer(rate=0.5, note="x")) == digest(Outer(rate=0.5, note="y"))
    assert digest(Outer(rate=0.5, kind="b")) != digest(Outer(rate=0.5))


def test_whole_numbers_given_as_int_or_float_are_the_same_setting():
    assert digest(Outer(rate=1)) == digest(Outer(rate=1.0))


def test_the_digest_is_the_sha256_of_sorted_compact_json():
    # printf '{"kind":"b","rate":0.5}' | sha256sum | cut -c-16
    assert digest(Outer(rate=0.5, kind="b")) == "c79a7602fd41159f"


def test_unknown_fields_are_refused():
    with pytest.raises(msgspec.ValidationError, match="unknown field `rat`"):
        decode(b'{"rate": 1.0, "rat": 2.0}', Outer)
    with pytest.raises(msgspec.ValidationError, match=r"unknown field `x`.*inner"):
        decode(b'{"rate": 1.0, "inner": {"x": 2}}', Outer)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_floats_that_are_not_finite_are_refused_everywhere(number):
    with pytest.raises(ValueError, match=r"Outer\.rate is .*only finite"):
        Outer(rate=number)
    with pytest.raises(ValueError, match=r"Inner\.options\['t'\]"):
        Inner(options={"t": number})
    with pytest.raises(msgspec.ValidationError, match="out of range"):
        decode(b'{"rate": 1e999}', Outer)


@pytest.mark.parametrize(
    "value",
    [
        Outer(rate="1"),
        Outer(rate=-1.0),
        Outer(rate=True),
        Outer(rate=1.0, kind="c"),
        Outer(rate=1.0, inner=Inner(size=1.5)),
        Outer(rate=1.0, rest=(Outer(rate=1.0),)),
    ],
)
def test_wrong_types_and_ranges_are_refused_where_a_value_gets_its_digest(value):
    for check in (validated, digest):
        with pytest.raises(msgspec.ValidationError):
            check(value)


def test_values_are_frozen():
    with pytest.raises(AttributeError):
        Outer(rate=1.0).rate = 2.0


scalars = st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5)
scalars |= st.floats(allow_nan=False, allow_infinity=False)
inners = st.builds(
    Inner, size=st.integers(-9, 9), options=st.dictionaries(st.text(max_size=5), scalars)
)
outers = st.builds(
    Outer,
    rate=st.floats(min_value=0, exclude_min=True, allow_infinity=False),
    kind=st.sampled_from(["a", "b"]),
    note=st.text(max_size=9),
    inner=inners,
    rest=st.lists(inners, max_size=3).map(tuple),
)


@given(outers)
def test_a_round_trip_through_json_changes_neither_value_nor_digest(value):
    again = decode(encode(value), Outer)
    assert again == value
    assert digest(again) == digest(value)
    assert validated(value) == value


@given(outers)
def test_the_order_of_fields_in_a_file_changes_nothing(value):
    content = json.loads(encode(value))
    shuffled = json.dumps(dict(reversed(content.items())))
    assert digest(decode(shuffled, Outer)) == digest(value)


@given(outers, outers)
def test_values_that_differ_in_more_than_a_note_differ_in_their_digest(one, other):
    forms = [json.dumps(canonical(value), sort_keys=True) for value in (one, other)]
    assert (digest(one) == digest(other)) == (forms[0] == forms[1])
