"""One assumed value at a time, against QKD as it is."""

import pytest
from msgspec.structs import replace

from benchmarks import cifar, evidence, sensitivity
from benchmarks.plan import plan
from benchmarks.sensitivity import variants, varied
from qkd.imports import QUANTIZERS, resolve
from qkd.phases import qkd
from qkd.spec.value import canonical, validated
from tests.support.launching import launch

SCALES = ["smoke", "laptop", "paper"]


def cells(scale):
    return list(sensitivity.matrix(scale, (0,)).cells())


@pytest.mark.parametrize("scale", SCALES)
def test_every_scale_is_a_valid_value_on_one_pair_of_another_matrix(scale):
    matrix = sensitivity.matrix(scale, (0,))
    assert validated(matrix) == matrix
    assert all((matrix.label.question, matrix.label.cost, matrix.label.deviations))
    (pair,) = {id(grid.pair): grid.pair for grid in matrix.grids}.values()
    others = evidence if scale == "laptop" else cifar
    assert pair in [grid.pair for grid in others.matrix(scale, (0,)).grids]
    assert {cell.bits.weight for cell in cells(scale)} == {2}


def test_without_a_change_it_is_qkd_itself():
    assert replace(varied("qkd", ""), note=qkd().note) == qkd()


def leaves(value, path=()):
    """The values of a canonical form by their place."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, (*path, key))
    elif isinstance(value, list):
        for place, item in enumerate(value):
            yield from leaves(item, (*path, place))
    else:
        yield path, value


def changed(history, base):
    """The places in which two histories differ, without their numbers."""
    one, other = dict(leaves(canonical(history))), dict(leaves(canonical(base)))
    places = {path for path in one.keys() | other.keys() if one.get(path) != other.get(path)}
    return {".".join(word for word in path if isinstance(word, str)) for path in places}


EXPECTED = {
    "qkd-minmax": {"student.quantization.initial_interval"},
    "qkd-full-levels": {"student.quantization.quantizer"},
    "qkd-scaled-gradient": {"student.quantization.quantizer"},
    "qkd-by-phase": {"recipe.restarts"},
    "qkd-half": {"parts.phase.student.weight", "parts.phase.teacher.weight"},
    "qkd-kl0.5": {"parts.phase.student.weight", "parts.phase.teacher.weight"},
    "qkd-t1": {
        "parts.phase.student.options.temperature",
        "parts.phase.teacher.options.temperature",
    },
    "qkd-t4": {
        "parts.phase.student.options.temperature",
        "parts.phase.teacher.options.temperature",
    },
    "qkd-teacher-rate0.1": {"parts.phase.teacher_learning_rate"},
    "qkd-teacher-rate0.0001": {"parts.phase.teacher_learning_rate"},
    "qkd-teacher-kl0.1": {"parts.phase.teacher.weight"},
    "qkd-teacher-ramp": {"parts.phase.teacher.ramp"},
    "qkd-late": {"parts.steps"},
}


def test_each_variant_changes_what_its_name_says_and_nothing_else():
    found = {cell.method.name: cell for cell in cells("laptop") if cell.bits.edge == 8}
    assert list(EXPECTED) == [method.name for method in variants(1600)]
    for name, places in EXPECTED.items():
        assert changed(found[name].history, found["qkd"].history) == places, name
        assert found[name].method.note
    assert len({cell.history.digest for cell in found.values()}) == len(found)


def test_the_first_and_last_layer_are_varied_as_bits():
    edges = [cell for cell in cells("laptop") if cell.bits.edge != 8]
    assert [(cell.bits.label, cell.method.name) for cell in edges] == [
        ("W2A2E4", "qkd"),
        ("W2A2E2", "qkd"),
    ]


def test_every_variants_quantizer_is_there():
    for method in variants(1600):
        assert resolve(method.quantizer, QUANTIZERS)


def test_a_laptop_night_is_what_its_label_says():
    whole = list(sensitivity.matrix("laptop", sensitivity.DEFAULT_SEEDS["laptop"]).cells())
    planned = plan(whole)
    assert f"{planned.macs:.2e}".replace("e+", "e") in sensitivity.LABELS["laptop"].cost
    assert planned.macs / 6.4e10 / 2 / 3600 == pytest.approx(8, abs=0.1)


def test_a_laptop_shares_the_runs_of_the_evidence():
    seeds = evidence.DEFAULT_SEEDS["laptop"]
    theirs = {
        (cell.method.name, cell.seed): cell.history.digest
        for cell in evidence.matrix("laptop", seeds).cells()
        if cell.bits.label == "W2A2"
    }
    ours = {
        (cell.method.name, cell.seed): cell.history.digest
        for cell in sensitivity.matrix("laptop", seeds).cells()
        if cell.bits.label == "W2A2"
    }
    for name in ("qkd", "kd"):
        assert {ours[name, seed] == theirs[name, seed] for seed in seeds} == {True}
    assert ours["qat", 10] != theirs["qat", 10]  # at the recipe's rates here, tuned there


def test_the_students_pull_on_the_teacher_grows_over_200_of_1600_steps():
    (ramped,) = (m for m in variants(1600) if m.name == "qkd-teacher-ramp")
    assert [term.ramp for term in ramped.shares[1].phase.teacher] == [0, 200]
    assert [term.ramp for term in ramped.shares[1].phase.student] == [0, 0]


@pytest.mark.slow
def test_variants_of_other_arithmetic_run_on_synthetic_images(tmp_path, data):
    only = "method=qkd-full-levels,qkd-scaled-gradient,qkd-by-phase bits=w2a2"
    code, output = launch("run", tmp_path, data, MATRIX="sensitivity", SEEDS="0", ONLY=only)
    assert code == 0, output
    records = {
        path.parent.name.split("-self-study")[0] for path in tmp_path.glob("stages/*/result.json")
    }
    for words in ("w2a2-fullweightlevels", "w2a2-scaledgradient", "w2a2"):
        assert f"resnet8-width4-{words}" in records
