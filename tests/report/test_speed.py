"""The section on speed, from files that `make speed` wrote or somebody edited."""

import json

from msgspec.structs import replace

from benchmarks.speed.before import _equal_bits, group_of
from benchmarks.speed.figures import Figure, Machine, MachineSpeed, Point, judged
from benchmarks.speed.trees import Tree, Trees
from qkd.spec.value import encode
from report.build import build
from report.page.speed import COLUMNS, speed_view
from report.page.table import table
from report.reading.machines import measured

MACHINE = Machine(
    name="toy",
    processor="Toy <b>7</b>",
    device="cpu",
    cores=2,
    threads=1,
    torch="2.0",
    commit="0123456789abcdef",
    date="2026-01-02",
)
STEP = Figure(group="quantized step", name="ResNet-20", ratio=1.1, low=1.0, high=1.2, goal=1.12)
SLOW = replace(STEP, name="slow <script>", ratio=1.5)
CLOSE = replace(STEP, name="close", ratio=1.123)
SPEED = MachineSpeed(
    machine=MACHINE,
    figures=(judged(STEP), judged(SLOW)),
    growth=(Point(axis="width", value="4", ratio=0.5), Point(axis="width", value="8", ratio=1.0)),
    skipped={"peers": "not installed"},
)


def speeds(results, problems, committed):
    return measured(MachineSpeed, "speed", results, problems, committed)


def written(folder, speed=SPEED, name="toy.json"):
    place = folder / "speed"
    place.mkdir(parents=True, exist_ok=True)
    (place / name).write_bytes(encode(speed))
    return folder


def test_goals_met_and_missed_are_said_with_the_gap(tmp_path):
    problems = []
    (found,) = speeds(written(tmp_path), problems, tmp_path / "none")
    assert problems == []
    view = speed_view(found, "toy")
    (shown,) = view.tables
    assert shown.lead == "Quantized step"
    assert [row.cells[4].text for row in shown.rows] == ["met", "missed by 0.38"]
    (close,) = table("close", "", COLUMNS, [judged(CLOSE)]).rows
    assert close.cells[4].text == "missed by 0.003"
    assert shown.rows[0].cells[2].text == "1.00 to 1.20"
    assert view.skipped == ("peers: not installed",)
    assert "4 0.50, 8 1.00" in view.growth


def test_what_is_since_a_commit_is_a_table_with_its_share_of_equal_bits(tmp_path):
    group = group_of(Trees(Tree(tmp_path, "0123456789abcdef", frozenset()), None))
    wall = Figure(group=group, name="ablation, wall", ratio=0.7, goal=0.55)
    ends = ({"1": ("a", 5), "2": ("b", 5)}, {"1": ("a", 5), "2": ("c", 5)})
    equal = [_equal_bits(group, "ablation", ends[0], now) for now in ends]
    speed = replace(SPEED, figures=(judged(wall), *equal))
    (found,) = speeds(written(tmp_path, speed), [], tmp_path / "none")
    (shown,) = speed_view(found, "toy").tables
    assert shown.lead == "Since 0123456789ab, at smoke scale"
    verdicts = [[row.cells[place].text for place in (3, 4, 5)] for row in shown.rows]
    assert verdicts == [
        ["at most 0.55", "missed by 0.15", ""],
        ["at least 1.00", "met", "all 2 stages equal"],
        ["at least 1.00", "missed by 0.50", "1 of 2 stages equal"],
    ]


def test_ones_own_file_hides_the_committed_one_of_its_name(tmp_path):
    own = written(tmp_path / "own", replace(SPEED, machine=replace(MACHINE, processor="Mine")))
    committed = written(tmp_path / "committed")
    written(tmp_path / "committed", name="other.json")
    titles = [one.machine.processor for one in speeds(own, [], committed)]
    assert titles == ["Mine", "Toy <b>7</b>"]


def test_a_damaged_file_is_a_problem_and_hides_no_other(tmp_path):
    written(tmp_path)
    content = json.loads(encode(SPEED))
    content["figures"][0]["ratio"] = -1
    (tmp_path / "speed" / "edited.json").write_text(json.dumps(content))
    (tmp_path / "speed" / "half.json").write_bytes(encode(SPEED)[:100])
    problems = []
    assert len(speeds(tmp_path, problems, tmp_path / "none")) == 1
    assert len(problems) == 2
    assert "edited.json cannot be read" in problems[0]


def test_the_page_shows_it_and_escapes_it(tmp_path):
    build(written(tmp_path), tmp_path / "index.html", reference=tmp_path / "none")
    page = (tmp_path / "index.html").read_text()
    assert "missed by 0.38" in page
    assert "slow &lt;script&gt;" in page
    assert "Toy &lt;b&gt;7&lt;/b&gt;" in page
    assert "slow <script>" not in page
