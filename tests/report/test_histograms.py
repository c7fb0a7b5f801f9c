"""The figure of weights before and after: from which records, what it says, and what is damaged."""

import json
from itertools import pairwise

import pytest

from benchmarks.plan import plan
from report.figures.weights import MOST_LAYERS, weight_histograms
from report.frames.layers import bins, learned
from tests.report.collected import cell_row, only_section
from tests.report.test_page import built, checked
from tests.support.report_records import QAT, QKD, cell_of, matrix, record_of, write_run

EDGES = (-1.5, -1.0, 0.0, 1.0, 1.5)
ATTACK = "</text><script>alert('x')</script>\x1b[31m"


def layer(name, counts, interval=0.5):
    beyond = sum(counts[:2] + counts[4:]) / sum(counts)
    return {"layer": name, "counts": counts, "clipped": beyond, "learned": {"interval": interval}}


def kept(before, after, names=("conv1", "linear"), edges=EDGES):
    return {
        "edges": list(edges),
        "before": [layer(name, before) for name in names],
        "after": [layer(name, after, 0.25) for name in names],
    }


# Of 16 weights 4, 3, 2, then 1 are clipped: at the start, and after each of QKD's three phases.
MOMENTS = [[2, 0, 6, 6, 1, 1], [1, 1, 7, 6, 1, 0], [1, 0, 7, 7, 0, 1], [1, 0, 8, 7, 0, 0]]


@pytest.fixture
def run(tmp_path):
    """A run of QKD and of QAT, the first with histograms; and a function that writes QKD's."""
    toy = matrix(methods=(QKD, QAT), seeds=(0,))
    write_run(tmp_path / "results", toy, {("qkd", 0): 72.0, ("qat", 0): 70.0})
    own = plan([cell_of(toy, "qkd")]).stages.values()
    path = [one.stage.history for one in own if one.stage.history.student.start is not None]

    def write(change=lambda contents: None, **fields):
        contents = [kept(*pair, **fields) for pair in pairwise(MOMENTS)]
        change(contents)
        for history, content in zip(path, contents, strict=True):
            text = content if isinstance(content, str) else json.dumps(content)
            record_of(tmp_path / "results", history).histograms_file.write_text(text)

    return write


def of_qkd(tmp_path):
    return cell_row(only_section(tmp_path), "qkd").records.histograms


def drawn_of(found):
    return str(weight_histograms(bins(found), learned(found), "toy"))


def test_it_goes_from_the_first_step_of_the_path_to_the_last(tmp_path, run):
    run()
    found = of_qkd(tmp_path)
    assert [before.layer for before, _ in found.layers] == ["conv1", "linear"]
    for before, after in found.layers:
        assert [list(before.counts), list(after.counts)] == [MOMENTS[0], MOMENTS[-1]]
    page = built(tmp_path)
    checked(page)
    assert page.count('-weights">') == 1
    assert "conv1 clipped 25.0 %, then 6.2 %, interval 0.5, then 0.25; linear clipped" in page
    assert "clipped 25.0 \N{RIGHTWARDS ARROW} 6.2 %</text>" in page
    assert "four layers under qkd, seed 0" in page
    assert "cannot be read, and are not drawn" not in page


def test_before_and_after_are_told_apart_without_colour(tmp_path, run):
    run()
    drawn = drawn_of(of_qkd(tmp_path))
    assert drawn.count("stroke-dasharray:3.6,2.4;") == 3  # one a layer, and one in the key
    assert drawn.count('style="fill:none;stroke:var(--student);stroke-width:1.4') == 3


def test_of_many_layers_some_are_drawn_the_first_and_the_last_among_them(tmp_path, run):
    run(names=[f"layer{place}" for place in range(53)])
    drawn = drawn_of(of_qkd(tmp_path))
    assert drawn.count(" clipped 25.0 %, then") == MOST_LAYERS
    for name in ("layer0", "layer52"):
        assert f">{name}</text>" in drawn


def test_records_without_histograms_have_no_figure_and_no_word_of_it(tmp_path, run):
    page = built(tmp_path)
    assert 'id="toy-smoke-0-curves"' in page
    assert "-weights" not in page
    assert "istogram" not in page


@pytest.mark.parametrize("place", [0, 2])
def test_a_path_of_which_an_end_has_none_has_no_figure(tmp_path, run, place):
    run()
    own = (tmp_path / "results").rglob("histograms.json")
    path = sorted(own, key=lambda p: json.loads(p.with_name("result.json").read_text())["steps"])
    path[1].unlink()  # what is between the ends is not asked
    assert of_qkd(tmp_path) is not None
    path[place].unlink()
    assert of_qkd(tmp_path) is None


def changed(key, value, where=(0, -1)):
    """Sets a field of the first layer before, and of the first layer after."""

    def change(contents):
        for place, moment in zip(where, ("before", "after"), strict=True):
            contents[place][moment][0][key] = value

    return change


def last(text):
    return lambda contents: contents.__setitem__(-1, text)


DAMAGES = {
    "empty": last(""),
    "truncated": last(json.dumps(kept(*MOMENTS[:2]))[:-20]),
    "no object": last("[]"),
    "only before": lambda contents: contents[-1].pop("after"),
    "not a number": last('{"edges": [NaN, 1], "before": [], "after": []}'),
    "infinite": last('{"edges": [-1, 1, 1e999], "before": [], "after": []}'),
    "a negative count": changed("counts", [2, 0, 6, 9, -2, 1]),
    "half a weight": changed("counts", [2, 0, 6, 6, 0.5, 1.5]),
    "no weights": changed("counts", [0] * 6),
    "other weights": changed("counts", [2, 0, 6, 6, 1, 2], where=(0, 0)),
    "too few bins": changed("counts", [8, 8]),
    "a huge count": changed("counts", [2, 0, 6, 10**30, 1, 1]),
    "more than all": changed("clipped", 1.5),
    "a word": changed("learned", {"interval": "wide"}),
    "other layers": lambda contents: contents[-1]["after"].pop(),
    "another order": lambda contents: contents[-1]["after"].reverse(),
    "other bins": lambda contents: contents[-1]["edges"].__setitem__(0, -1.75),
    "falling edges": lambda contents: contents[-1]["edges"].reverse(),
    "no ends": lambda contents: contents[0].update(edges=[-1.5, -1.25, 0.0, 1.25, 1.5]),
    "far edges": lambda contents: contents[0].update(edges=[-1e308, -1.0, 0.0, 1.0, 1e308]),
    "a long name": changed("layer", "x" * 10_000),
    "an attack": changed("counts", ATTACK),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_damaged_is_said_to_be_so_and_takes_nothing_else_with_it(tmp_path, run, damage):
    run(DAMAGES[damage])
    page = built(tmp_path)
    assert "histograms of the weights of qkd, seed 0, cannot be read, and are not drawn" in page
    assert "-weights" not in page
    assert 'id="toy-smoke-0-curves"' in page
    assert "qkd</th>" in page
    assert checked(page).scripts == 1
    assert str(tmp_path) not in page


def test_a_layers_name_is_text(tmp_path, run):
    run(names=(ATTACK, "linear"))
    page = built(tmp_path)
    assert 'id="toy-smoke-0-weights"' in page
    assert checked(page).scripts == 1
    assert "\x1b" not in page
    assert "&lt;script&gt;alert(" in page
