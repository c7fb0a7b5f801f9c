"""The section on exported students, from files that `make export` wrote or somebody edited."""

import json

from msgspec.structs import replace

from benchmarks.elsewhere.figures import Elsewhere, Latency
from qkd.export.told import Form, Told, Trial
from qkd.spec.value import encode
from report.build import build
from report.page.elsewhere import elsewhere_view
from report.reading.exports import exported
from report.reading.machines import measured
from tests.report.test_speed import MACHINE

AGREES = Trial(
    form="onnx",
    consumer="program <b>",
    version="1.2",
    images=1000,
    agreement=0.998,
    largest=0.25,
    median=2e-7,
    layers=8,
    integer_layers=7,
    verdict="agrees",
    note="set <script>",
)
TOLD = Told(
    stage="0" * 16,
    record="resnet8-w2a2-0000",
    opset=21,
    images=1000,
    top1=87.5,
    rounding=1e-7,
    forms=(
        Form(name="onnx", file="student.onnx", bytes=36697, sha256="0" * 64),
        Form(name="onnx-int4", refused="no weights of 4 bits or less"),
    ),
    trials=(AGREES, replace(AGREES, consumer="other", verdict="not installed", images=0)),
)
FAST = Latency(
    network="ResNet-20",
    bits="W2A2",
    form="onnx",
    consumer="program",
    version="1",
    images=1,
    ratio=0.8,
    low=0.7,
    high=0.9,
    float_milliseconds=1.5,
    size=1000,
    float_size=4000,
    integer_layers=7,
    layers=8,
)
LATENCIES = Elsewhere(
    machine=MACHINE,
    latencies=(FAST, replace(FAST, form="onnx-int4", ratio=1.6), replace(FAST, bits="W8A8")),
    skipped={"another": "not installed"},
)


def written(results, told=TOLD, latencies=LATENCIES):
    folder = results / "export" / told.record
    folder.mkdir(parents=True)
    (folder / "export.json").write_bytes(encode(told))
    (results / "export" / "toy.json").write_bytes(encode(latencies))
    return results


def texts(table):
    return [[cell.plain for cell in row.cells] for row in table.rows]


def test_a_student_is_a_row_with_the_bytes_of_each_form_or_why_there_is_none(tmp_path):
    (told,) = exported(written(tmp_path), [], tmp_path / "none")
    other = replace(told, record="other", forms=(replace(told.forms[1], name="qonnx"),))
    view = elsewhere_view([told, other], [])
    why = "no weights of 4 bits or less"
    assert texts(view.students) == [
        ["resnet8-w2a2-0000", "1,000", "87.50", "1.0e-07", "36,697", why, ""],
        ["other", "1,000", "87.50", "1.0e-07", "", "", why],
    ]


def test_what_a_program_made_of_students_is_a_row_with_the_worst_of_each_number(tmp_path):
    (told,) = exported(written(tmp_path), [], tmp_path / "none")
    worse = replace(AGREES, agreement=0.0, largest=0.5, median=1e-7, layers=53, images=100)
    wrong = replace(AGREES, verdict="wrong", note="")
    others = [replace(told, trials=(trial,)) for trial in (worse, wrong)]
    view = elsewhere_view([told, *others], [])
    assert [row[:6] for row in texts(view.trials)] == [
        ["onnx", "program <b> 1.2", "agrees", "2", "0.00", "100"],
        ["onnx", "other 1.2", "not installed", "1", "99.80", ""],
        ["onnx", "program <b> 1.2", "wrong", "1", "99.80", "1,000"],
    ]
    assert [row[6:] for row in texts(view.trials)] == [
        ["5.0e-01", "2.0e-07", "7 of 8; 7 of 53", "set <script>"],
        ["2.5e-01", "2.0e-07", "7 of 8", "set <script>"],
        ["2.5e-01", "2.0e-07", "7 of 8", ""],
    ]


def test_a_machine_says_how_the_fastest_form_of_each_bits_compares(tmp_path):
    (found,) = measured(Elsewhere, "export", written(tmp_path), [], tmp_path / "none")
    (view,) = elsewhere_view([], [found]).machines
    assert view.sentence == "program: at best 0.80 at W2A2, 0.80 at W8A8 of float32's time."
    assert [row.cells[4].text for row in view.table.rows] == ["0.80", "1.60", "0.80"]
    assert view.skipped == ("another: not installed",)


def test_without_any_export_there_is_no_section(tmp_path):
    assert elsewhere_view([], []) is None
    build(tmp_path, tmp_path / "index.html", reference=tmp_path / "none")


def test_ones_own_export_hides_the_committed_one_of_its_record(tmp_path):
    own = written(tmp_path / "own", replace(TOLD, top1=1.0))
    committed = written(tmp_path / "committed")
    assert [one.top1 for one in exported(own, [], committed)] == [1.0]


def test_a_damaged_export_is_a_problem_and_hides_no_other(tmp_path):
    written(tmp_path)
    for name, change in (("edited", {"top1": -1}), ("more", {"unknown": 1})):
        (tmp_path / "export" / name).mkdir()
        content = {**json.loads(encode(TOLD)), **change}
        (tmp_path / "export" / name / "export.json").write_text(json.dumps(content))
    problems = []
    assert len(exported(tmp_path, problems, tmp_path / "none")) == 1
    assert len(problems) == 2
    assert "export/edited/export.json cannot be read" in problems[0]


def test_the_page_shows_it_and_escapes_it(tmp_path):
    build(written(tmp_path), tmp_path / "index.html", reference=tmp_path / "none")
    page = (tmp_path / "index.html").read_text()
    assert "Students elsewhere" in page
    assert "resnet8-w2a2-0000" in page
    assert "set &lt;script&gt;" in page
    assert "set <script>" not in page
