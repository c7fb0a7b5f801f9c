import copy
import hashlib
import json
import pickle
from typing import Annotated, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import qkd.spec.value
from qkd.spec.value import (
    NOT_IDENTITY,
    Positive,
    Value,
    canonical,
    decode,
    digest,
    encode,
    validated,
)


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


def test_an_error_names_a_field_deep_within_by_its_whole_path():
    value = Outer(rate=1.0, rest=(Inner(), Inner(options={"a": [1]})))
    for check in (validated, digest):
        with pytest.raises(
            msgspec.ValidationError, match=r"got `array` - at `\$\.rest\[1\]\.options"
        ):
            check(value)


def test_values_are_frozen():
    with pytest.raises(AttributeError):
        Outer(rate=1.0).rate = 2.0


@pytest.mark.parametrize(
    "change",
    [
        lambda options: options.__setitem__("a", 2),
        lambda options: options.__delitem__("a"),
        lambda options: options.__ior__({"a": 2}),
        lambda options: options.update(a=2),
        lambda options: options.setdefault("b", 2),
        lambda options: options.pop("a"),
        lambda options: options.popitem(),
        lambda options: options.clear(),
    ],
)
def test_a_values_dictionaries_are_frozen_and_none_but_its_own(change):
    given = {"a": 1}
    value = Inner(options=given)
    before = digest(value)
    given["a"] = 2
    with pytest.raises(TypeError, match="frozen: make another"):
        change(value.options)
    assert value.options == {"a": 1}
    assert digest(value) == before == digest(Inner(options={"a": 1}))


def test_copies_of_a_value_are_equal_and_as_frozen():
    value = Outer(rate=1.0, rest=(Inner(options={"a": 1}),))
    digest(value)
    for again in (pickle.loads(pickle.dumps(value)), copy.deepcopy(value)):  # noqa: S301
        assert again == value
        assert digest(again) == digest(value)
        with pytest.raises(TypeError, match="frozen"):
            again.rest[0].options["a"] = 2


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


def defined(value):
    """The digest by its definition, on the whole value: all of it checked, then made plain, then
    written, with nothing remembered."""

    def plain(item):
        if isinstance(item, Value):
            kept = {}
            for field in msgspec.structs.fields(item):
                default = field.default
                if field.default_factory is not msgspec.NODEFAULT:
                    default = field.default_factory()
                if field.name != "note" and getattr(item, field.name) != default:
                    kept[field.name] = plain(getattr(item, field.name))
            return kept
        if isinstance(item, dict):
            return {key: plain(one) for key, one in item.items()}
        return [plain(one) for one in item] if isinstance(item, (tuple, list)) else item

    whole = msgspec.convert(msgspec.to_builtins(value), type(value))
    form = json.dumps(plain(whole), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(form.encode()).hexdigest()[:16]


# As a user writes them: whole numbers for floats, lists for tuples, parts that several share.
carelessly = st.builds(
    lambda rate, parts, picks, empty: Outer(
        rate=rate,
        inner=parts[0],
        rest=empty if not picks else [parts[pick % len(parts)] for pick in picks],
    ),
    st.integers(1, 9) | st.floats(0.1, 9.0),
    st.lists(inners, min_size=1, max_size=3),
    st.lists(st.integers(0, 9), max_size=4),
    st.sampled_from([(), []]),
)


@given(st.lists(outers | carelessly, min_size=1, max_size=4), st.data())
def test_the_digest_is_that_of_the_definition_whatever_was_digested_before(values, data):
    values += [msgspec.structs.replace(values[0], rest=(values[-1].inner, values[0].inner))]
    for value in data.draw(st.permutations(values)):
        assert digest(value) == defined(value)
        assert digest(value) == defined(value)


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


def test_a_part_that_many_values_share_is_written_once(monkeypatch):
    written = []
    write = qkd.spec.value._canonical_text
    monkeypatch.setattr(
        qkd.spec.value,
        "_canonical_text",
        lambda value: (written.append(type(value)), write(value))[1],
    )
    part = Inner(size=5)
    for rate in range(1, 11):
        digest(Outer(rate=rate, inner=part, rest=(part, part)))
    assert written.count(Inner) == 1
    assert written.count(Outer) == 10
