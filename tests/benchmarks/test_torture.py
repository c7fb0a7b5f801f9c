"""What make torture tries is really tried, a little of each, and each part notices a fault."""

import json
import shutil
import subprocess
from types import SimpleNamespace

import pytest
import torch
from msgspec.structs import replace

from benchmarks.speed.figures import Machine
from benchmarks.torture import __main__ as command
from benchmarks.torture.ends import differences, same
from benchmarks.torture.figures import Row, Torture, faults_of
from benchmarks.torture.full_disk import half_written
from benchmarks.torture.hostile import checkpoints as hostile_checkpoints
from benchmarks.torture.hostile import flags as hostile_flags
from benchmarks.torture.hostile import images as hostile_images
from benchmarks.torture.hostile.outcome import Outcomes
from benchmarks.torture.hostile.records import Shown, judge_cells
from benchmarks.torture.hostile.texts import MARK, inputs, text_strategy, texts
from benchmarks.torture.kills import DIFFER, Killing
from benchmarks.torture.launches import TWICE, judge, rounds
from benchmarks.torture.processes import Undisturbed
from benchmarks.torture.stages import matrix, phases, starts
from qkd.data.images import DataError, Images, Split
from qkd.records.record import STAGES, Store
from qkd.spec.value import decode, encode
from report.build import build
from report.page.torture import torture_view
from tests.support import lets_two_in, small

MACHINE = Machine(
    name="toy", processor="Toy <b>7</b>", device="cpu", cores=2, threads=1, torch="2", date="today"
)
ROWS = (
    Row(part="SIGKILL", what="co-study", tried=34, faults={DIFFER: 0}, note="12 ends compared"),
    Row(part="hostile input", what="names", tried=40, faults={"executed": 1, "lost": 2}),
)


@pytest.fixture(scope="module")
def tried(tmp_path_factory):
    """A little of every part, in the folder that it leaves: rows, faults in words, what was not
    tried, the folder."""
    place = tmp_path_factory.mktemp("torture")
    rows, examples, skipped = [], [], {}
    counts = command.Counts(kills=2, inputs=5, rounds=1, writes=2)
    command.torture(counts, place, rows, examples, skipped)
    return SimpleNamespace(rows=rows, examples=examples, skipped=skipped, place=place)


def test_the_stages_are_those_of_our_other_tests():
    """Whose undisturbed run serves here too."""
    found = [stage.history.digest for stage in (*starts(), *phases().values())]
    assert found == [stage.history.digest for stage in small.stages()]


@pytest.mark.slow
def test_a_little_of_each_part_finds_no_fault(tried):
    assert tried.examples == []
    counts = {(row.part, row.what): row.tried for row in tried.rows}
    kinds = ("records", "names", "checkpoints", "images", "flags")
    expected = {("SIGKILL", "self-study"): 1, ("SIGKILL", "co-study"): 1}
    expected |= {("hostile input", kind): 1 for kind in kinds}
    expected |= {("two launches at once", "the ablation's QAT"): 1}
    if not tried.skipped:
        expected |= {("full disk", "co-study"): 2}
    assert counts == expected
    assert all(number == 0 for row in tried.rows for number in row.faults.values())


@pytest.mark.slow
def test_a_lock_that_lets_two_in_is_noticed(tried, tmp_path):
    shutil.copyfile(lets_two_in.__file__, tmp_path / "sitecustomize.py")
    examples = []
    expected = Store(tried.place / "launched-alone" / STAGES)
    row = rounds(
        1,
        expected,
        tmp_path / "results",
        tried.place / "data",
        examples,
        apart=0.0,
        more={"PYTHONPATH": str(tmp_path)},
    )
    assert row.faults[TWICE] > 0
    assert "was trained 2 times" in " ".join(examples)


def test_a_stage_trained_twice_and_a_lost_record_are_counted(trained, tmp_path):
    results = tmp_path / "results"
    shutil.copytree(trained.root, results / STAGES)
    assert judge(results, trained) == (0, 0, ())
    first, second = (Store(results / STAGES).record(stage.history) for stage in small.starts())
    text = first.log_file.read_text()
    first.log_file.write_text(text + text)
    second.result_file.unlink()
    twice, lost, words = judge(results, trained)
    assert (twice, lost) == (1, 1)
    assert "trained 2 times" in " ".join(words)


def with_a_bit_flipped(store, folder, stage):
    """The records with one bit of one weight of the stage's end changed."""
    shutil.copytree(store.root, folder)
    record = Store(folder).record(stage.history)
    content = torch.load(record.checkpoint_file, weights_only=True)
    weight = content["student"]["network"]["conv1.weight"]
    weight.view(torch.int32).view(-1)[0] ^= 1
    torch.save(content, record.checkpoint_file)
    return Store(folder)


def test_an_end_that_differs_by_one_bit_is_noticed(trained, tmp_path):
    stage = phases()["tutoring"]
    flipped = with_a_bit_flipped(trained, tmp_path / "flipped", stage)
    ends = [store.record(stage.history) for store in (trained, flipped)]
    assert differences(*ends) == ["student"]
    assert differences(ends[0], ends[0]) == []
    assert same(torch.tensor([0.0]), torch.tensor([0.0]))
    assert not same(torch.tensor([0.0]), torch.tensor([-0.0]))


@pytest.mark.slow
def test_a_killed_stage_that_ends_otherwise_is_counted(trained, tmp_path, runtime):
    stage = phases()["self-study"]
    known = Undisturbed(
        with_a_bit_flipped(trained, tmp_path / "flipped", stage), {"self-study": 1.0}
    )
    killing = Killing(known, tmp_path, runtime)
    killing.life("self-study", stage, 1)
    (row,) = killing.rows()
    assert (row.tried, row.faults) == (1, {DIFFER: 1})
    assert killing.examples == ["self-study, killed 1 times: student"]


def test_files_that_are_half_written_or_left_are_noticed(trained, tmp_path):
    source = trained.record(phases()["self-study"].history)
    shutil.copytree(source.path, tmp_path / source.path.name)
    record = Store(tmp_path).record(phases()["self-study"].history)
    assert list(half_written(record)) == []
    for path in (record.result_file, record.checkpoint_file):
        path.write_bytes(path.read_bytes()[:-40])
    (record.path / ".env.json.part").write_bytes(b"")
    record.metrics_file.write_bytes(record.metrics_file.read_bytes()[:-9])
    assert len(list(half_written(record))) == 3


def careless(path, digest, sha256=None):
    return torch.load(path, weights_only=False)


def faults(row):
    return {kind: number for kind, number in row.faults.items() if number}


@pytest.mark.filterwarnings("ignore")  # torch has some for whoever loads so
def test_a_checkpoint_that_is_run_is_noticed(trained, tmp_path, monkeypatch):
    record = trained.record(phases()["self-study"].history)
    examples = []
    monkeypatch.setattr(hostile_checkpoints.checkpoint, "load", careless)
    found = hostile_checkpoints.checkpoints(1, record, tmp_path, examples)
    assert found.faults["executed"] == 1
    assert examples


def test_a_checkpoint_that_is_read_as_another_is_noticed(trained, tmp_path, monkeypatch):
    record, other = (trained.record(phases()[name].history) for name in ("self-study", "co-study"))
    load = hostile_checkpoints.checkpoint.load
    foreign = load(other.checkpoint_file, other.digest)

    def instead(path, digest, sha256=None):
        return foreign if path.parent == tmp_path else load(path, digest, sha256)

    monkeypatch.setattr(hostile_checkpoints.checkpoint, "load", instead)
    found = hostile_checkpoints.checkpoints(4, record, tmp_path, [])
    assert faults(found) == {"averaged in silence": 4}


def test_forty_checkpoints_are_refused_or_read_as_they_were_saved(trained, tmp_path):
    record, examples = trained.record(phases()["self-study"].history), []
    found = hostile_checkpoints.checkpoints(40, record, tmp_path, examples)
    assert (found.tried, faults(found), examples) == (40, {}, [])


def test_forty_trees_of_images_are_refused_or_read_as_they_are(tmp_path):
    examples = []
    found = hostile_images.images(40, tmp_path, examples)
    assert (found.tried, faults(found), examples) == (40, {}, [])


def test_an_image_that_is_read_as_another_is_noticed(tmp_path, monkeypatch):
    read = hostile_images.read_tree

    def forgiving(root):
        try:
            return read(root)
        except DataError:
            whole = read(tmp_path / "whole")
            return Split(Images(whole.train.images[1:], whole.train.labels[1:]), whole.test)

    monkeypatch.setattr(hostile_images, "read_tree", forgiving)
    assert faults(hostile_images.images(3, tmp_path, [])) == {"averaged in silence": 3}


def test_a_flag_that_a_shell_reads_is_noticed(tmp_path, monkeypatch):
    def careless_plan(name, value, results, folder):
        if value == f"$(touch {tmp_path / 'executed'})":
            subprocess.run(["sh", "-c", f"echo {value}"], check=True, capture_output=True)
        (results / "record").write_text(value)
        return 0, "Traceback"

    monkeypatch.setattr(hostile_flags, "_plan", careless_plan)
    (tmp_path / "results").mkdir()
    found = hostile_flags.flags(6, tmp_path / "results", tmp_path, [])
    assert found.faults["executed"] == 1
    assert found.faults["crashed"] == found.faults["lost"] == 6


@pytest.mark.parametrize(
    ("cells", "means", "expected"),
    [
        ({0: ("unreadable", ""), 1: ("done", "50.0000")}, [("50.0000", "1")], {}),
        ({0: ("done", "50.0000"), 1: ("done", "50.0000")}, [("50.0000", "2")], {}),
        (
            {0: ("done", "99.0000"), 1: ("done", "50.0000")},
            [("74.5000", "2")],
            {"averaged in silence": 2},
        ),
        (
            {0: ("unreadable", ""), 1: ("done", "50.0000")},
            [("74.5000", "2")],
            {"averaged in silence": 1},
        ),
        ({1: ("done", "50.0000")}, [("50.0000", "1")], {"lost": 1}),
        ({0: ("unreadable", "")}, [], {"lost": 1}),
    ],
)
def test_a_number_that_is_not_the_true_one_and_a_lost_cell_are_noticed(
    tmp_path, cells, means, expected
):
    made = SimpleNamespace(cells=list(matrix("toy", 2).cells()), true="50.0000")
    outcomes = Outcomes("records", tmp_path / "executed", [])
    shown = Shown(0, "", "", cells, means, set())
    judge_cells(outcomes, shown, made, [SimpleNamespace(words="a damage")])
    assert faults(outcomes.row()) == expected


def test_inputs_are_as_many_as_asked_for_and_the_same_in_every_run(tmp_path):
    known = texts(tmp_path)
    for count in (1, 5, 90):
        found = inputs(known, text_strategy(tmp_path), count)
        assert found == inputs(known, text_strategy(tmp_path), count)
        assert len(found) == count
        assert found[0] == known[0]


def whole(**changes):
    known = Torture(machine=MACHINE, seconds=600.0, rows=ROWS, skipped={"full disk": "no root"})
    return replace(known, **changes)


def test_what_was_found_is_read_back_and_its_faults_are_added_up():
    assert decode(encode(whole()), Torture) == whole()
    assert faults_of(whole()) == 3
    with pytest.raises(ValueError, match="faults"):
        decode(encode(whole()).replace(b'"lost": 2', b'"lost": -2'), Torture)


def test_the_report_shows_it_as_text(tmp_path):
    found = whole(examples=(f"{MARK} was run",))
    view = torture_view(found, "torture-0")
    cells = [[cell.text for cell in row.cells] for row in view.table.rows]
    assert cells[0] == ["SIGKILL", "co-study", "34", f"0 {DIFFER}", "12 ends compared"]
    assert view.facts.startswith("3 faults in 74 trials")
    assert torture_view(whole(rows=ROWS[:1]), "x").facts.startswith("no fault in 34 trials")
    folder = tmp_path / "results" / "torture"
    folder.mkdir(parents=True)
    (folder / "toy.json").write_bytes(encode(found))
    (folder / "bad.json").write_text("{")
    page = tmp_path / "index.html"
    build(tmp_path / "results", page, tmp_path / "none")
    text = page.read_text()
    assert "Toy &lt;b&gt;7&lt;/b&gt;" in text
    assert MARK not in text
    assert "full disk was not tried: no root" in text
    assert "torture/bad.json cannot be read" in text


def test_the_command_writes_what_was_found_and_ends_with_1_where_there_is_a_fault(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("QKD_RESULTS", str(tmp_path))

    def torture(counts, place, rows, examples, skipped):
        assert counts == (3, 200, 50, 0)
        rows += ROWS[:1] if place.is_dir() and not (tmp_path / "torture").exists() else ROWS

    monkeypatch.setattr(command, "torture", torture)
    assert command.main(["--kills", "3"]) == 0
    assert command.main(["--kills", "3"]) == 1
    (path,) = (tmp_path / "torture").glob("*.json")
    found = json.loads(path.read_text())
    assert [row["tried"] for row in found["rows"]] == [34, 40]
    assert "written to" in capsys.readouterr().out
