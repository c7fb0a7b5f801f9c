import pytest

from qkd.phases import CO_STUDY, PRE_TRAINING, SELF_STUDY, TUTORING, distillation, qkd, without


def lengths(method):
    """Epochs of self-study, co-study and tutoring; 0 where the phase is not there."""
    epochs = {share.phase.name: share.epochs for share in method.shares}
    return tuple(epochs.get(phase.name, 0) for phase in (SELF_STUDY, CO_STUDY, TUTORING))


@pytest.mark.parametrize(
    ("removed", "expected"),
    [
        ((), (30, 100, 70)),
        ((TUTORING,), (30, 170, 0)),  # nothing comes after: to the one before
        ((CO_STUDY,), (30, 0, 170)),
        ((SELF_STUDY,), (0, 130, 70)),
        ((SELF_STUDY, TUTORING), (0, 200, 0)),
        ((TUTORING, SELF_STUDY), (0, 200, 0)),
        ((SELF_STUDY, CO_STUDY), (0, 0, 200)),
        ((CO_STUDY, SELF_STUDY), (0, 0, 200)),
        ((CO_STUDY, TUTORING), (200, 0, 0)),
    ],
)
def test_the_epochs_of_removed_phases_go_to_those_left(removed, expected):
    method = without(qkd(), *removed, name="m")
    assert lengths(method) == expected
    assert method.epochs == 200
    assert method.name == "m"
    assert [s.phase for s in method.shares] == [
        p for p in (SELF_STUDY, CO_STUDY, TUTORING) if p not in removed
    ]


def test_taking_out_a_phase_that_is_not_there_is_an_error():
    with pytest.raises(ValueError, match="qkd has no phase pre-training"):
        without(qkd(), PRE_TRAINING, name="m")
    with pytest.raises(ValueError, match="has no phase tutoring"):
        without(qkd(), TUTORING, TUTORING, name="m")


def test_taking_out_every_phase_is_an_error():
    with pytest.raises(ValueError, match="has no phase left"):
        without(qkd(), SELF_STUDY, CO_STUDY, TUTORING, name="m")


def test_the_three_phases_are_those_of_the_paper():
    (label,) = SELF_STUDY.student
    assert (label.loss, label.target, label.weight) == ("qkd.losses:cross_entropy", "labels", 1)
    for terms in (CO_STUDY.student, CO_STUDY.teacher, TUTORING.student):
        assert terms == (label, distillation(weight=1, temperature=2))
    assert distillation().target == "peer"
    assert SELF_STUDY.teacher == TUTORING.teacher == ()


def test_a_temperature_given_as_int_is_the_same_setting():
    assert str(distillation(temperature=2)) == str(distillation(temperature=2.0))
