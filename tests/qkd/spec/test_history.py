import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from qkd.phases import CO_STUDY, CO_STUDY_BY_LABELS, SELF_STUDY, TUTORING
from qkd.spec import History, Learner, Phase, Stage, Term
from qkd.spec.history import before, continues, grown, parents, prefix, seeded, teacher_before
from tests.support import small

STUDENT, TEACHER = small.PAIR.student_start, small.PAIR.teacher_start


def described(history):
    return [(part.phase.name, part.steps) for part in history.parts]


def test_a_history_grows_by_joining_the_same_phase():
    history = grown(small.history((SELF_STUDY, 3)), SELF_STUDY, 4, None)
    assert described(history) == [("self-study", 7)]
    assert described(grown(history, TUTORING, 2, small.TEACHER)) == [
        ("self-study", 7),
        ("tutoring", 2),
    ]


def test_the_teacher_enters_with_the_first_phase_that_needs_one():
    history = grown(small.history(), SELF_STUDY, 3, small.TEACHER)
    assert history.teacher is None
    assert grown(history, TUTORING, 1, small.TEACHER).teacher == small.TEACHER


def test_a_prefix_drops_the_teacher_with_the_phases_that_need_it():
    history = small.history(*small.TUTORED)  # 20 + 20 + 10
    assert described(prefix(history, 33)) == [("self-study", 20), ("co-study", 13)]
    assert prefix(history, 33).teacher == small.TEACHER
    assert prefix(history, 20) == small.history(*small.SELF_STUDIED)
    assert prefix(history, 0) == small.history()
    assert prefix(history, 50) == history
    for steps in (-1, 51):
        with pytest.raises(ValueError, match="has no first"):
            prefix(history, steps)


def test_the_first_stage_begins_at_the_start():
    stage = small.stage(*small.SELF_STUDIED)
    assert before(stage) == STUDENT
    assert not continues(stage)
    assert parents(stage) == (STUDENT,)


def test_a_random_start_has_no_parents():
    stage = Stage(history=STUDENT, steps=STUDENT.steps)
    assert before(stage) is None
    assert parents(stage) == ()


def test_self_study_cut_in_two_goes_on_from_its_first_part():
    stage = small.stage((SELF_STUDY, 20), steps=17)
    assert before(stage) == small.history((SELF_STUDY, 3))
    assert continues(stage)
    assert teacher_before(stage) is None


def test_co_study_begins_with_the_teachers_start():
    stage = small.stage(*small.CO_STUDIED)
    assert before(stage) == small.history(*small.SELF_STUDIED)
    assert teacher_before(stage) == TEACHER
    assert parents(stage) == (small.history(*small.SELF_STUDIED), TEACHER)


def test_co_study_cut_in_two_goes_on_with_its_own_teacher():
    stage = small.stage(*small.CO_STUDIED, steps=7)
    first = small.history(*small.SELF_STUDIED, (CO_STUDY, 13))
    assert teacher_before(stage) == before(stage) == first
    assert parents(stage) == (first,)


@pytest.mark.parametrize("steps", [10, 4])
def test_tutoring_uses_the_co_studied_teacher_wherever_it_is_cut(steps):
    stage = small.stage(*small.TUTORED, steps=steps)
    assert teacher_before(stage) == small.history(*small.CO_STUDIED)
    assert before(stage).steps == 50 - steps


def test_tutoring_without_co_study_uses_the_fixed_teacher():
    stage = small.stage(*small.SELF_STUDIED, (TUTORING, 9), steps=4)
    assert teacher_before(stage) == TEACHER


def test_tutoring_by_the_teacher_as_it_started_reads_the_start_after_a_co_study():
    original = replace(TUTORING, name="tutoring-start", teacher_state="start")
    stage = small.stage(*small.CO_STUDIED, (original, 9), steps=4)
    assert teacher_before(stage) == TEACHER
    assert before(stage) == small.history(*small.CO_STUDIED, (original, 5))


@pytest.mark.parametrize("phase", [SELF_STUDY, CO_STUDY])
def test_only_a_frozen_teacher_can_be_as_it_started(phase):
    with pytest.raises(ValueError, match="no frozen teacher"):
        replace(phase, teacher_state="start")


def test_a_teacher_may_start_as_another_history_left_its_own():
    studied = small.history(*small.CO_STUDIED)
    teacher = replace(small.TEACHER, start=studied, side="teacher")
    history = grown(small.history(), TUTORING, 9, teacher)
    assert parents(Stage(history=history, steps=9)) == (STUDENT, studied)
    assert seeded(history, 3) == grown(
        replace(small.history(), seed=3), TUTORING, 9, replace(teacher, start=seeded(studied, 3))
    )
    assert seeded(history, 3).teacher.start.seed == 3
    assert seeded(studied, 3).teacher.start.seed == studied.teacher.start.seed  # ready for all


@pytest.mark.parametrize("parts", [small.SELF_STUDIED, small.TUTORED])
def test_a_start_without_a_teacher_that_it_trained_last_has_none_to_give(parts):
    with pytest.raises(ValueError, match="trains one"):
        Learner(network=small.PAIR.teacher, start=small.history(*parts), side="teacher")


def test_a_term_grows_to_its_weight_over_its_ramp():
    term = Term(loss="qkd.losses:cross_entropy", weight=2.0, ramp=4)
    assert [term.weight_at(step) for step in range(6)] == [0.5, 1.0, 1.5, 2.0, 2.0, 2.0]
    flat = Phase(name="flat", student=(replace(term, ramp=0),)).student[0]
    assert flat.weight_at(0) == flat.weight_at(100) == 2.0


def test_a_second_co_study_goes_on_from_the_first_ones_teacher():
    parts = ((CO_STUDY, 5), (TUTORING, 2), (CO_STUDY_BY_LABELS, 3))
    assert teacher_before(small.stage(*parts)) == small.history((CO_STUDY, 5))
    assert teacher_before(small.stage(*parts, (TUTORING, 1))) == small.history(*parts)


def test_the_teacher_of_a_stage_that_needs_none_is_not_a_parent():
    stage = small.stage(*small.CO_STUDIED, (SELF_STUDY, 5))
    assert teacher_before(stage) is None
    assert parents(stage) == (small.history(*small.CO_STUDIED),)


phases = st.sampled_from((SELF_STUDY, CO_STUDY, CO_STUDY_BY_LABELS, TUTORING))
paths = st.lists(st.tuples(phases, st.integers(1, 50)), min_size=1, max_size=5)


@given(paths)
def test_a_history_is_its_prefix_grown_by_the_rest(path):
    history = small.history(*path)
    assert history.steps == sum(steps for _, steps in path)
    shorter = small.history(*path[:-1])
    assert prefix(history, shorter.steps) == shorter
    assert grown(shorter, *path[-1], small.TEACHER) == history


@given(paths, st.data())
def test_where_a_history_is_cut_changes_no_id(path, data):
    history = small.history(*path)
    cut = data.draw(st.integers(0, history.steps))
    first = prefix(history, cut)
    assert first.steps == cut
    assert prefix(history, 0) == prefix(first, 0)
    pieces = [step for phase, steps in path for step in [phase] * steps]
    again = first
    for phase in pieces[cut:]:
        again = grown(again, phase, 1, small.TEACHER)
    assert again == history
    assert again.digest == history.digest


@given(paths, st.data())
def test_walking_back_by_stages_leads_to_the_start(path, data):
    history = small.history(*path)
    trained = 0
    while history is not None and history.parts and history != STUDENT:
        last = history.parts[-1].steps
        stage = Stage(history=history, steps=data.draw(st.integers(1, last)))
        trained += stage.steps
        teacher = teacher_before(stage)
        assert teacher in (None, TEACHER) or teacher.steps <= history.steps - stage.steps
        assert isinstance(before(stage), History)
        history = before(stage)
    assert trained == sum(steps for _, steps in path)
