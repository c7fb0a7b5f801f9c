"""Top-1 over bits: the paper's Figure 1 and its twin, by numbers that can be checked by hand."""

import pytest
from msgspec.structs import replace

from qkd.spec import Bits
from report.analysis.by_bits import FLOAT, BitsPoint, paper_figure, twin_figure
from report.build import collect
from report.figures.by_bits import by_bits, description
from report.frames.tidy import rows, tidy
from report.reading.paper import PAPER, read_paper
from report.texts import MINUS
from tests.report.drawn import marks, paths, place_of, scale, texts
from tests.support.report_records import FP, KD, QAT, QKD, matrix, write_run

LEFT = "\N{LEFTWARDS ARROW}"


def named(toy, data, student):
    """The matrix on a data set and with a student of these names."""
    (grid,) = toy.grids
    pair = grid.pair
    own = replace(pair.data, name=data)
    network = replace(pair.student, name=student)

    def begun(history, network):
        learner = replace(history.student, network=network)
        return replace(history, data=own, student=learner)

    pair = replace(
        pair,
        data=own,
        student=network,
        student_start=begun(pair.student_start, network),
        teacher_start=begun(pair.teacher_start, pair.teacher),
    )
    return replace(toy, grids=(replace(grid, pair=pair),))


def write(folder, name, values, *, data="cifar10", student="resnet20", seeds=(0, 1), **options):
    bits = options.pop("bits", (2,))
    toy = matrix(
        methods=(FP, QKD, KD, QAT),
        seeds=seeds,
        name=name,
        bits=tuple(Bits(weight=width, activation=width) for width in bits),
        **options,
    )
    top1s = {(m, s): v for m, own in values.items() for s, v in zip(seeds, own, strict=True)}
    write_run(folder / "results", named(toy, data, student), top1s)


def points(folder, of):
    report = collect(folder / "results", folder / "none")
    frame = of(report)
    return {(p.panel, p.line, p.bits): p for p in rows(frame, BitsPoint)}


def twin(report):
    return twin_figure(report.sections)


def test_the_papers_figure_has_its_two_panels_and_lines():
    shown = rows(paper_figure(read_paper(PAPER), []), BitsPoint)
    lines = {}
    for one in shown:
        assert not one.is_ours
        lines.setdefault((one.panel, one.line), []).append(one.bits)
    resnet, mobilenet = "ResNet-18 on ImageNet", "MobileNetV2 on ImageNet"
    assert lines == {
        **{
            (resnet, name): [2, 3, 4]
            for name in ("QKD", "AP* (plain KD)", "QIL", "DSQ", "LQ-Net", "PACT")
        },
        (mobilenet, "QKD"): [3, 4, 6],
        (mobilenet, "AP* (plain KD)"): [3, 4, 6],
        (mobilenet, "DSQ"): [4],
        (mobilenet, "PACT"): [4, 6],
        (resnet, FLOAT): [32],
        (mobilenet, FLOAT): [32],
    }


def test_what_was_run_at_full_length_stands_on_the_papers_axes(tmp_path):
    values = {"qkd": (66.0, 67.0), "kd": (65.0, 65.0), "qat": (64.0, 65.0)}
    for scale_name in ("laptop", "paper"):
        write(tmp_path, scale_name, values, data="imagenet", student="ResNet18", scale=scale_name)
    found = points(tmp_path, lambda report: paper_figure(report.paper, report.sections))
    ours = {key: one for key, one in found.items() if one.is_ours}
    assert {key[1:]: one.mean for key, one in ours.items()} == {
        ("QKD", 2): 66.5,
        ("AP* (plain KD)", 2): 65.0,
        ("plain QAT", 2): 64.5,
    }


def test_the_twin_takes_the_longest_training_of_a_pair_and_the_most_seeds(tmp_path):
    values = {"qkd": (80.0, 81.0), "kd": (79.0, 80.0), "qat": (78.0, 78.5)}
    write(tmp_path, "short", dict.fromkeys(values, (60.0, 60.0)), scale="laptop")
    longer = matrix().grids[0].recipe
    longer = {"scale": "laptop", "recipe": replace(longer, horizon=40)}
    write(tmp_path, "long", values, bits=(2, 4), **longer)
    write(tmp_path, "one", dict.fromkeys(values, (50.0,)), seeds=(7,), **longer)
    write(tmp_path, "smoke", values, student="resnet32")
    write(tmp_path, "else", values, data="fashion", scale="laptop")
    found = points(tmp_path, twin)
    panel = f"resnet20 {LEFT} resnet14-width4, cifar10, 40 steps"
    assert {key: one.mean for key, one in found.items()} == {
        (panel, FLOAT, 32): 90.0,
        **{
            (panel, line, bits): pytest.approx(sum(values[name]) / 2)
            for name, line in (("qkd", "QKD"), ("kd", "plain KD (AP*)"), ("qat", "plain QAT"))
            for bits in (2, 4)
        },
    }
    assert found[panel, "QKD", 2].low < 80.5 < found[panel, "QKD", 2].high


def test_a_longer_training_at_fewer_bits_does_not_take_the_bits_from_the_twin(tmp_path):
    values = {"qkd": (80.0, 81.0), "kd": (79.0, 80.0), "qat": (78.0, 78.5)}
    write(tmp_path, "over-bits", values, bits=(2, 4), scale="laptop")
    longer = replace(matrix().grids[0].recipe, horizon=40)
    write(tmp_path, "long", values, scale="laptop", recipe=longer)
    found = points(tmp_path, twin)
    assert {panel for panel, _, _ in found} == {
        f"resnet20 {LEFT} resnet14-width4, cifar10, 20 steps"
    }
    assert {bits for _, line, bits in found if line == "QKD"} == {2, 4}


def drawn(*found, **options):
    return by_bits(tidy(BitsPoint, found), "toy", **options)


def test_marks_stand_at_their_bits_and_full_precision_is_dotted():
    shown = drawn(
        BitsPoint("net", "QKD", 2, 60.0),
        BitsPoint("net", "QKD", 6, 70.0),
        BitsPoint("net", FLOAT, 32, 75.0),
        BitsPoint("net", "plain QAT", 2, 62.0, 61.0, 63.0, is_ours=True),
    )
    first, last = (place_of(shown, f"W{bits}A{bits}")[0] for bits in (2, 6))
    heights = {text: y for _, y, text in texts(shown)}
    up = scale([(60, heights["60"]), (70, heights["70"])])
    hollow = marks(shown, "paper")
    assert [x for x, _ in hollow[:2]] == pytest.approx([first, last], abs=0.2)
    assert hollow[1][1] - hollow[0][1] == pytest.approx(up(70) - up(60), abs=0.2)
    filled = marks(shown, "ink")[0]
    assert filled[1] - hollow[0][1] == pytest.approx(up(62) - up(60), abs=0.2)
    assert len(paths(shown, "stroke-dasharray:1.1,2.2")) >= 1
    assert {"QKD", "plain QAT", "full precision", "filled: run here"} <= set(heights)


def test_a_figure_needs_a_quantized_point_and_a_narrow_one_has_its_panels_above_each_other():
    assert drawn(BitsPoint("net", FLOAT, 32, 75.0)) is None
    assert by_bits(tidy(BitsPoint, []), "toy") is None
    two = (BitsPoint("one", "QKD", 2, 60.0), BitsPoint("two", "QKD", 3, 70.0))
    for narrow in (False, True):
        places = [place_of(drawn(*two, narrow=narrow), name) for name in ("one", "two")]
        assert (places[0][0] == pytest.approx(places[1][0], abs=1)) == narrow


def test_a_screen_reader_is_told_every_number():
    found = (
        BitsPoint("net", "QKD", 2, 60.0),
        BitsPoint("net", "QKD", 2, 59.0, 58.0, 60.0, is_ours=True),
        BitsPoint("net", FLOAT, 32, 75.0),
    )
    said = description(tidy(BitsPoint, found)).replace(MINUS, "-")
    assert said == (
        "Test top-1 in percent over bits. net: QKD 60.00 at W2A2; "
        "QKD (run here) 59.00 [58.00, 60.00] at W2A2; float 75.00."
    )
