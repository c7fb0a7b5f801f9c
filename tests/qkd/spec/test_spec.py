import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import ValidationError
from msgspec.structs import replace

from benchmarks import ablation
from qkd.phases import CO_STUDY, SELF_STUDY, TUTORING
from qkd.spec import Bits, Data, History, Learner, Network, Part, Quantization, Stage
from qkd.spec.history import prefix
from qkd.spec.value import canonical, decode, digest, encode, validated
from tests.support import small


def laptop(method):
    cells = ablation.matrix("laptop", (0,)).cells()
    return next(cell.history for cell in cells if cell.method.name == method)


# A changed id renames every result that was ever kept under the old one: records are no longer
# found, and are trained again. Change one only together with `numerics`, on purpose.
def test_three_ids_are_what_they_always_were():
    qkd = laptop("qkd")
    assert qkd.student.start.digest == "eb0f41c9d2d8768c"
    assert qkd.teacher.start.digest == "c76d6b75ef80b271"
    # As the first numerics had it, when the laptop's recipe wrote a line every 20 steps.
    first = replace(qkd, recipe=replace(qkd.recipe, log_every=20))
    assert prefix(first, 60).digest == "f1c19e1ce77fc284"
    assert first.digest == "78c5fe0e745ab572"
    assert replace(qkd, numerics=2).digest == "5bfccbc7ceadb4b4"


def test_names_and_readers_for_people_change_no_id():
    history = small.history(*small.TUTORED)
    renamed = replace(
        history,
        data=replace(history.data, name="other", reader="qkd.data.cifar:read"),
        student=replace(history.student, network=replace(history.student.network, name="other")),
    )
    assert renamed.digest == history.digest


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"numerics": 1},
        {"recipe": replace(small.RECIPE, horizon=61)},
        {"recipe": replace(small.RECIPE, batch=32)},
        {"recipe": replace(small.RECIPE, precision="bfloat16")},
        {"data": replace(small.PAIR.data, held_out=63)},
        {"data": replace(small.PAIR.data, digest="0" * 64)},
        {"student": Learner(network=small.PAIR.student, quantization=small.W2A2)},
        {"student": Learner(network=small.PAIR.student, start=small.PAIR.student_start)},
    ],
)
def test_what_changes_numbers_changes_the_id(change):
    history = small.history(*small.SELF_STUDIED)
    assert replace(history, **change).digest != history.digest


def test_adjacent_parts_of_one_phase_must_be_joined():
    history = small.history()
    parts = (Part(phase=SELF_STUDY, steps=3), Part(phase=SELF_STUDY, steps=4))
    with pytest.raises(ValueError, match="join them"):
        replace(history, parts=parts)
    apart = (parts[0], Part(phase=TUTORING, steps=1), parts[1])
    assert replace(history, parts=apart, teacher=small.TEACHER).steps == 8


@pytest.mark.parametrize(
    ("phase", "teacher"),
    [(SELF_STUDY, small.TEACHER), (CO_STUDY, None), (TUTORING, None)],
)
def test_a_history_has_a_teacher_exactly_where_a_phase_needs_one(phase, teacher):
    with pytest.raises(ValueError, match="has a teacher exactly where"):
        replace(small.history(), parts=(Part(phase=phase, steps=1),), teacher=teacher)


def test_which_phases_need_and_train_a_teacher():
    assert [p.needs_teacher for p in (SELF_STUDY, CO_STUDY, TUTORING)] == [False, True, True]
    assert [p.trains_teacher for p in (SELF_STUDY, CO_STUDY, TUTORING)] == [False, True, False]


@pytest.mark.parametrize("parts", [(), ((SELF_STUDY, 2), (TUTORING, 3))])
def test_a_stage_lies_within_one_phase(parts):
    with pytest.raises(ValueError, match="within one phase"):
        Stage(history=small.history(*parts), steps=4)


def test_a_stage_file_with_a_history_that_cannot_be_is_refused():
    content = json.loads(encode(small.stage(*small.CO_STUDIED)))
    content["history"]["parts"] = []
    with pytest.raises(ValidationError, match="teacher"):
        decode(json.dumps(content), Stage)


@pytest.mark.parametrize("bits", [1, 9, 2.5, True])
def test_bits_are_whole_and_from_2_to_8(bits):
    with pytest.raises(ValidationError):
        validated(Bits(weight=bits, activation=2))
    with pytest.raises(ValidationError):
        validated(Quantization(bits=Bits(weight=2, activation=2, edge=bits)))
    with pytest.raises(ValidationError):
        validated(Bits(weight=2, activation=2, depthwise=bits))


def test_a_label_is_as_in_the_tables():
    assert Bits(weight=4, activation=3).label == "W4A3"


@pytest.mark.parametrize("factory", ["os.system", "os:", ":name", "a b:c", "a:b.c", "../a:b"])
def test_a_factory_is_module_and_name(factory):
    with pytest.raises(ValidationError, match="factory"):
        validated(Network(name="n", factory=factory))


def test_an_epoch_drops_the_last_incomplete_batch():
    data = Data(
        name="d", reader="a:b", train_images=100, classes=2, mean=(0,), std=(1,), held_out=9
    )
    assert data.epoch_steps(30) == 3  # 91 images = 3 * 30 + 1


lengths = st.integers(1, 1000)
histories = st.builds(
    lambda seed, parts, rate: replace(small.history(*parts, learning_rate=rate), seed=seed),
    st.integers(0, 2**31 - 1),
    st.permutations((SELF_STUDY, CO_STUDY, TUTORING)).flatmap(
        lambda phases: st.lists(lengths, max_size=3).map(
            lambda steps: tuple(zip(phases, steps, strict=False))
        )
    ),
    st.floats(min_value=1e-6, max_value=1.0) | st.just(1),
)


@given(histories)
def test_a_history_survives_its_file(history):
    again = decode(encode(history), History)
    assert again == validated(history)
    assert again.digest == history.digest
    assert canonical(again) == canonical(validated(history))
    assert digest(again) == again.digest


def test_bits_with_other_edges_have_a_label_of_their_own():
    assert Bits(weight=2, activation=3).label == "W2A3"
    assert Bits(weight=2, activation=2, edge=4).label == "W2A2E4"


def test_bits_of_depthwise_convolutions_have_a_label_and_an_id_of_their_own():
    kept = Bits(weight=4, activation=4, depthwise=8)
    assert kept.label == "W4A4D8"
    assert replace(kept, edge=6).label == "W4A4E6D8"
    assert digest(kept) != digest(replace(kept, depthwise=None))
    assert canonical(replace(kept, depthwise=None)) == {"weight": 4, "activation": 4}


def test_a_started_network_draws_other_batches_than_its_pre_training_of_the_same_seed():
    started = small.history((SELF_STUDY, 3))
    assert started.student.start.seed == started.seed
    assert started.student.start.draws == started.seed  # what the committed networks drew
    assert started.draws != started.seed


def test_a_quantized_start_is_refused():
    quantized = small.history((SELF_STUDY, 3))
    with pytest.raises(ValueError, match="begins in full precision"):
        Learner(network=small.PAIR.student, start=quantized)
