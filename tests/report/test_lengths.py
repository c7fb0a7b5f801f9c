"""Trainings of several lengths: their contrasts stand beside each other."""

import pytest
from msgspec.structs import replace

from report.analysis.lengths import length_frames, several_lengths
from report.figures.lengths import description
from report.page.tables import length_table
from report.texts import MINUS
from tests.report.collected import only_section
from tests.report.test_page import built, checked
from tests.support.report_records import KD, QAT, QKD, matrix, write_matrix, write_run

METHODS = (QKD, KD, QAT)
TOP1S = {
    20: {"qkd": (70.0, 71.0, 72.0), "kd": (71.0, 71.5, 73.0), "qat": (69.0, 69.0, 69.0)},
    80: {"qkd": (75.0, 75.0, 76.0), "kd": (75.0, 75.0, 76.0), "qat": (70.0, 72.0, 72.0)},
}


def found_in(tmp_path):
    section = only_section(tmp_path)
    return several_lengths(section.readings.run.matrix, section.groups)


@pytest.fixture
def write(tmp_path):
    """A function that writes a run of both lengths; ``changes`` are of the longer one's recipe."""

    def write(methods=METHODS, first=None, again=False, **changes):
        toy = matrix(methods=methods, seeds=(0, 1, 2))
        grids = [
            replace(grid, recipe=replace(grid.recipe, horizon=length, **more))
            for grid in toy.grids
            for length, more in ((80, changes), (20, {}))
        ]
        grids[1] = replace(grids[1], methods=first or methods)
        if again:
            grids.append(replace(grids[0], seeds=(7, 8)))
        for grid in grids:
            of_length = TOP1S[grid.recipe.horizon].items()
            top1s = {(name, seed): top1 for name, of in of_length for seed, top1 in enumerate(of)}
            write_run(tmp_path / "results", replace(toy, grids=(grid,)), top1s)
        write_matrix(tmp_path / "results", replace(toy, grids=tuple(grids)))
        return found_in(tmp_path)

    return write


def test_each_contrast_has_its_difference_at_each_length(write):
    (found,) = write(log_every=4)
    assert found.steps == (20, 80)
    shown = length_table(found, "lengths")
    assert [column.title for column in shown.columns] == ["contrast", "20 steps", "80 steps"]
    # After 20 steps plain QAT does not vary, and each contrast has Welch's test of its own two:
    # error 1 / sqrt(3) on 2 degrees, times t(0.975, 2) = 4.3027: 2.484. After 80 the spread is
    # pooled: squares within 2/3, 2/3 and 8/3 on 6 degrees, error 2/3, times 2.4469: 1.631.
    texts = [[cell.text.replace(MINUS, "-") for cell in row.cells] for row in shown.rows]
    assert texts == [
        ["qkd - qat", "+2.00 [-0.48, 4.48], undecided", "+4.00 [2.37, 5.63], higher"],
        ["qkd - kd", "-0.83 [-3.15, 1.48], undecided", "0.00 [-1.63, 1.63], undecided"],
        ["kd - qat", "+2.83 [0.25, 5.42], higher", "+4.00 [2.37, 5.63], higher"],
    ]
    said = description(length_frames(found)[0]).replace(MINUS, "-")
    first = "qkd - qat +2.00 [-0.48, 4.48] after 20 steps, +4.00 [2.37, 5.63] after 80 steps; "
    assert first in said


def test_the_page_shows_them_before_the_settings(tmp_path, write):
    write()
    page = built(tmp_path)
    checked(page)
    assert page.index("By length of training") < page.index('<h3 class="setting">')
    assert page.count("Differences by length of training, points") == 1


@pytest.mark.parametrize(
    ("methods", "changes"),
    [(METHODS, {"batch": 16}), (METHODS, {"learning_rate": 0.5}), ((QKD,), {})],
    ids=["another batch", "another rate", "nothing to compare"],
)
def test_what_differs_in_more_than_length_stands_apart(tmp_path, write, methods, changes):
    assert write(methods, **changes) == []
    assert "By length of training" not in built(tmp_path)


def test_a_method_of_the_same_name_that_is_another_is_not_set_side_by_side(write):
    other = replace(QKD, schedule="phase")
    assert write((other, KD, QAT), first=METHODS) == []


def test_where_a_length_is_there_twice_none_is_shown(write):
    assert write(log_every=4, again=True) == []


def test_a_contrast_that_ran_at_one_length_alone_is_not_shown(tmp_path, write):
    write()
    for folder in (tmp_path / "results" / "stages").iterdir():
        if "tutoring80-" in folder.name and "study" not in folder.name:
            (folder / "result.json").unlink()
    (found,) = found_in(tmp_path)
    assert [contrast.label for contrast in found.contrasts] == [f"qkd {MINUS} qat"]
