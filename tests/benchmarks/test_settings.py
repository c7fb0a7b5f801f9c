"""The variables of every command."""

from pathlib import Path

import pytest

from benchmarks.settings import VARIABLES, SettingsError, from_environment
from tests.support.launching import ROOT


def test_without_variables_the_defaults_hold() -> None:
    settings = from_environment({"HOME": "/", "PATH": ""})
    assert settings.matrix == "ablation"
    assert settings.scale == "laptop"
    assert settings.seeds == ()  # the matrix's own
    assert (settings.results, settings.report) == (Path("results"), Path("report/index.html"))
    assert (settings.jobs, settings.threads, settings.only, settings.stage) == (0, 1, "", "")


@pytest.mark.parametrize(
    ("matrix", "given", "scale"),
    [("imagenet", "", "headline"), ("imagenet", "paper", "paper"), ("cifar", "", "laptop")],
)
def test_what_no_laptop_can_train_has_another_scale_by_default(
    matrix: str, given: str, scale: str
) -> None:
    assert from_environment({"QKD_MATRIX": matrix, "QKD_SCALE": given}).scale == scale


def test_an_empty_variable_is_at_its_default() -> None:
    assert from_environment({"QKD_SCALE": "", "QKD_SEEDS": " "}) == from_environment({})


def test_the_makefile_hands_over_and_explains_every_variable() -> None:
    text = (ROOT / "Makefile").read_text()
    line = next(line for line in text.splitlines() if line.startswith("VARIABLES := "))
    assert line.split()[2:] == [*VARIABLES, "PYTHON"]
    helped = {word for line in text.splitlines() if line[:3] == "## " for word in line.split("=")}
    assert set(VARIABLES) <= {word.split()[-1] for word in helped if word.split()}


def test_seeds_are_read_in_the_order_given() -> None:
    assert from_environment({"QKD_SEEDS": "3, 1"}).seeds == (3, 1)


def test_photos_are_decoded_by_the_worker_itself_unless_loaders_are_asked_for() -> None:
    assert from_environment({}).loaders == 0
    assert from_environment({"QKD_LOADERS": "4"}).loaders == 4


def test_portable_is_left_open_unless_it_is_asked_for() -> None:
    found = [from_environment({"QKD_PORTABLE": text}).portable for text in ("", "0", "1")]
    assert found == [None, False, True]


def test_a_batch_is_computed_whole_unless_parts_are_asked_for() -> None:
    assert from_environment({}).micro_batches == 1
    assert from_environment({"QKD_MICROBATCHES": "4"}).micro_batches == 4


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("QKD_SEED", "0", "QKD_SEEDS"),
        ("QKD_SCALE", "LAPTOP", "smoke, laptop, headline, paper"),
        ("QKD_PRECISION", "fp16", "PRECISION=fp16 .* float32, tf32, bfloat16"),
        ("QKD_TEACHER_PRECISION", "half", "TEACHER_PRECISION=half"),
        ("QKD_SEEDS", "0;1", "0,1,2"),
        ("QKD_SEEDS", "0,", "0,1,2"),
        ("QKD_SEEDS", "2147483648", "0,1,2"),
        ("QKD_SEEDS", "4,4", "twice"),
        ("QKD_JOBS", "two", "JOBS=two"),
        ("QKD_JOBS", "0", "JOBS=0"),
        ("QKD_THREADS", "0", "1 or more"),
        ("QKD_COMPILE", "yes", "COMPILE=yes is neither 0 nor 1"),
        ("QKD_LEAN", "2", "LEAN=2 is neither 0 nor 1"),
        ("QKD_PORTABLE", "yes", "PORTABLE=yes is neither 0 nor 1"),
        ("QKD_MICROBATCHES", "0", "MICROBATCHES=0 is not a number of 1 or more"),
        ("QKD_LOADERS", "-1", "LOADERS=-1 is not a number of 0 or more"),
    ],
)
def test_a_wrong_value_is_an_error_that_says_what_is_right(
    name: str, value: str, says: str
) -> None:
    with pytest.raises(SettingsError, match=says):
        from_environment({name: value})
