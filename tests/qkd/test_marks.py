import importlib
import typing

import msgspec
import pytest

from qkd import marks as module
from qkd.imports import LOSSES, resolve
from qkd.marks import marks
from qkd.phases import CO_STUDY, TUTORING, qkd
from qkd.spec import Bits, Phase, Photos, Quantization, Recipe
from qkd.spec.value import canonical
from qkd.training.step import INTERVAL_FLOOR

MARKS = {marked.where: marked for marked in marks()}
DEFAULTS = [
    (kind, field)
    for kind in (Recipe, Bits, Quantization, Phase, Photos)
    for field in msgspec.structs.fields(kind)
    if field.default is not msgspec.NODEFAULT
]


@pytest.mark.parametrize(
    ("kind", "field"), DEFAULTS, ids=[f"{kind.__name__}.{field.name}" for kind, field in DEFAULTS]
)
def test_every_default_that_changes_numbers_is_marked_with_its_live_value(kind, field):
    if (kind, field.name) == (Phase, "teacher"):
        return  # no terms: a phase that trains no teacher; each phase's own are marked
    if field.name == "quantizer":
        assert field.default.partition(":")[0] in MARKS  # marked where its class is
        return
    marked = MARKS[f"{kind.__module__}.{kind.__name__}.{field.name}"]
    assert marked.value == ("none" if field.default is None else str(field.default))


def test_a_mark_is_one_of_four_and_has_its_reason():
    words = typing.get_args(module.Mark)
    assert words == ("paper", "second-hand", "derived", "assumed")
    for marked in marks():
        assert marked.mark in words
        assert all((marked.what, marked.value, marked.where, marked.reason))
    assert len({marked.what for marked in marks()}) == len(marks())


def test_a_mark_points_at_something_that_is_there():
    for marked in marks():
        names = marked.where.split(".")
        for cut in range(len(names), 0, -1):
            try:
                found = importlib.import_module(".".join(names[:cut]))
                break
            except ModuleNotFoundError:
                continue
        for name in names[cut:]:
            is_field = isinstance(found, type) and issubclass(found, msgspec.Struct)
            assert hasattr(found, name) or (is_field and name in found.__struct_fields__), marked
            found = getattr(found, name)


def test_the_settings_of_the_phases_are_the_live_ones():
    lengths = " / ".join(str(share.epochs) for share in qkd().shares)
    assert MARKS["qkd.phases.qkd"].value in (lengths, "self-study, co-study, tutoring")
    assert lengths in {marked.value for marked in marks()}
    temperatures = {
        term.options["temperature"]
        for phase in (CO_STUDY, TUTORING)
        for term in (*phase.student, *phase.teacher)
        if term.options
    }
    assert {str(t) for t in temperatures} <= {marked.value for marked in marks()}
    assert "1.0, 1.0, 1.0, 1.0" in {marked.value for marked in marks()}


def test_the_marked_floor_is_the_one_at_work():
    (floor,) = [m for m in marks() if "floor" in m.what or "positive" in m.what]
    assert f"{100 * INTERVAL_FLOOR:.0f} %" in floor.value


def test_the_phases_of_the_paper_name_losses_that_are_there():
    for term in (*CO_STUDY.student, *CO_STUDY.teacher):
        assert callable(resolve(term.loss, LOSSES))
    assert canonical(TUTORING)["name"] == "tutoring"
