"""A record keeps which code of a user's its stage used, and says where that has changed since."""

import importlib
import json
import sys

import pytest
from msgspec.structs import replace

from qkd.imports import load_file
from qkd.phases import SELF_STUDY
from qkd.records.code import (
    CodeChanged,
    accept,
    changes,
    code_of,
    imported,
    in_words,
    keep_code,
    require_imported,
    uses_user_code,
)
from qkd.records.code_digest import code_digest, digest_of
from qkd.records.record import BadRecord, Store
from qkd.spec import Learner, Network, Quantization, Stage, Term
from qkd.train import run_stage
from qkd.training.loop import Stopped
from tests.support import small

NET = """
from torch import nn
from blocks_of_mine import CHANNELS

def net():
    import late_of_mine
    return nn.Sequential(
        nn.Conv2d(1, CHANNELS, 3, stride=2), nn.ReLU(),
        nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1), nn.ReLU(), nn.Flatten(),
        nn.Linear(49 * CHANNELS, late_of_mine.CLASSES),
    )
"""
NETWORK = Network(name="mine", factory="net_of_mine:net")
FILES = ["blocks_of_mine.py", "late_of_mine.py", "net_of_mine.py"]


@pytest.fixture
def mine(user_file):
    """A matrix file, what it imports beside it, and what its function does."""
    user_file("blocks_of_mine.py", "CHANNELS = 4\n")
    user_file("late_of_mine.py", "CLASSES = 10\n")
    user_file("never_imported.py", "CHANNELS = 8\n")
    return user_file("net_of_mine.py", NET)


def stage_of(**changes):
    history = small.history((SELF_STUDY, 6))
    student = Learner(network=NETWORK, quantization=small.W2A2)
    return Stage(history=replace(history, student=student, **changes), steps=6)


@pytest.fixture
def trained_mine(mine, runtime, tmp_path):
    """The record of a stage of a user's network."""
    store = Store(tmp_path / "stages")
    own = small.runtime(runtime.data, matrix_file=str(mine))
    run_stage(stage_of(), store, own)
    return store.record(stage_of().history)


def names(record):
    return [file.name for file in code_of(record).files]


@pytest.mark.parametrize("name", ["qkd.losses:f", "baselines.lsq:LSQ", "benchmarks.x:y"])
def test_what_is_ours_is_no_users_code(name):
    phase = replace(SELF_STUDY, student=(Term(loss=name),))
    assert not uses_user_code(small.history((phase, 5)))


def test_a_network_a_loss_a_quantizer_or_a_start_may_be_the_users():
    history = small.history((SELF_STUDY, 5))
    own = Learner(network=NETWORK)
    start = replace(small.PAIR.student_start, student=own)
    for changed in (
        replace(history, student=own),
        small.history((replace(SELF_STUDY, student=(Term(loss="mine:f"),)), 5)),
        replace(
            history,
            student=replace(
                history.student, quantization=Quantization(bits=small.W2A2.bits, quantizer="m:Q")
            ),
        ),
        replace(history, student=replace(history.student, start=start)),
    ):
        assert uses_user_code(changed)
    reader = replace(history.data, reader="mine:read")  # its images have a digest in the id
    assert not uses_user_code(replace(history, data=reader))


def test_a_stage_keeps_the_matrix_file_and_all_that_it_imported(trained_mine, mine):
    code = code_of(trained_mine)
    assert code.folder == str(mine.parent)
    assert names(trained_mine) == FILES
    assert [file.is_matrix for file in code.files] == [False, False, True]
    for file in code.files:
        assert file.sha256 == code_digest(mine.parent / file.name, file.is_matrix)


def test_a_stage_of_our_code_alone_keeps_none(mine, trained, runtime, tmp_path):
    load_file(mine)
    store = Store(tmp_path / "stages")
    stage = small.starts()[0]
    run_stage(stage, store, small.runtime(runtime.data, matrix_file=str(mine)))
    record = store.record(stage.history)
    assert not record.code_file.exists()
    assert changes([record], mine) == []


@pytest.mark.parametrize("name", FILES)
def test_an_edit_of_any_file_is_a_change_of_that_file(trained_mine, mine, name):
    assert changes([trained_mine]) == changes([trained_mine], mine) == []
    file = mine.parent / name
    file.write_text(f"{file.read_text()}\nMORE = 1\n")
    (change,) = changes([trained_mine], mine)
    assert (change.record, change.file) == (trained_mine, name)
    assert change.now == code_digest(file, name == "net_of_mine.py")
    assert changes([trained_mine]) == [change]
    words = in_words([change])
    assert name in words
    assert trained_mine.path.name in words
    assert f"ACCEPT={change.now[:12]}" in words
    assert "\n" not in words


def test_a_comment_and_a_file_that_is_gone_are_no_change(trained_mine, mine):
    mine.write_text(NET.replace("def net", "# mine\ndef net"))
    (mine.parent / "late_of_mine.py").unlink()
    assert changes([trained_mine], mine) == []


def test_files_beside_another_matrix_file_of_the_same_name_are_what_is_compared(
    trained_mine, mine, tmp_path
):
    other = tmp_path / "other" / mine.name
    other.parent.mkdir()
    other.write_text(NET.replace("stride=2", "stride=1"))
    assert [change.file for change in changes([trained_mine], other)] == [mine.name]
    assert changes([trained_mine], other.with_name("theirs.py")) == []


def test_an_accepted_change_is_none_and_the_next_one_is(trained_mine, mine):
    mine.write_text(NET.replace("nn.ReLU()", "nn.ReLU(inplace=True)"))
    accept(changes([trained_mine], mine))
    assert changes([trained_mine], mine) == []
    (file,) = (one for one in code_of(trained_mine).files if one.is_matrix)
    assert (file.sha256, file.accepted) == (
        digest_of(NET.encode(), is_matrix=True),
        (digest_of(mine.read_bytes(), is_matrix=True),),
    )
    mine.write_text(NET)
    assert changes([trained_mine], mine) == []  # what it was trained with stays right
    mine.write_text(NET.replace("nn.ReLU()", "nn.ReLU6()"))
    assert len(changes([trained_mine], mine)) == 1


def test_a_record_of_which_nothing_is_kept_yet_has_nothing_to_lose(trained_mine, mine):
    mine.write_text(NET + "\nMORE = 1\n")
    trained_mine.result_file.unlink()
    assert len(changes([trained_mine], mine)) == 1  # half trained: its checkpoint is of old code
    trained_mine.checkpoint_file.unlink()
    assert changes([trained_mine], mine) == []


@pytest.mark.parametrize("text", ["", "{}", '{"folder": "/", "files": [{"name": "x"}]}', "[]"])
def test_a_damaged_file_is_no_code(trained_mine, text):
    trained_mine.code_file.write_text(text)
    with pytest.raises(BadRecord, match=r"code\.json"):
        changes([trained_mine])


def test_a_record_from_elsewhere_has_its_files_looked_at_and_never_run(trained_mine, tmp_path):
    bomb = tmp_path / "bomb.py"
    bomb.write_text(f"open({str(tmp_path / 'exploded')!r}, 'w')\n")
    content = json.loads(trained_mine.code_file.read_text())
    content["files"].append({"name": str(bomb), "sha256": "0" * 64})
    trained_mine.code_file.write_text(json.dumps(content))
    assert [change.file for change in changes([trained_mine])] == [str(bomb)]
    assert not (tmp_path / "exploded").exists()


def reloaded(mine, text):
    """The file with another text, in what counts as another process."""
    mine.write_text(text)
    del sys.modules[mine.stem]
    return load_file(mine)


def test_a_stage_does_not_go_on_from_what_other_code_left(mine, runtime, tmp_path):
    own = small.runtime(runtime.data, matrix_file=str(mine), save_seconds=0.0)
    store, answers = Store(tmp_path / "stages"), iter([False, True])
    with pytest.raises(Stopped):
        run_stage(stage_of(), store, own, should_stop=lambda: next(answers))
    record = store.record(stage_of().history)
    before = {file.name: file.read_bytes() for file in record.path.iterdir()}
    reloaded(mine, NET.replace("nn.ReLU()", "nn.ReLU6()"))
    with pytest.raises(CodeChanged, match=r"net_of_mine\.py is not the code that 1 stage used"):
        run_stage(stage_of(), store, own)
    kept = {name: (record.path / name).read_bytes() for name in ("checkpoint.pt", "code.json")}
    assert kept == {name: before[name] for name in kept}
    assert not record.failed_file.exists()
    accept(changes([record], mine))
    run_stage(stage_of(), store, own)
    assert record.result_file.exists()
    (file,) = (one for one in code_of(record).files if one.is_matrix)
    assert len(file.accepted) == 1


def test_a_file_edited_while_it_is_in_use_counts_as_it_was_imported(mine):
    load_file(mine)
    before = imported()
    mine.write_text("raise SystemExit\n")
    assert imported() == before


def test_what_goes_on_keeps_its_code_and_adds_to_it(mine, tmp_path):
    store = Store(tmp_path / "stages")
    record = store.record(stage_of().history)
    record.open(stage_of())
    load_file(mine)
    keep_code(record, stage_of().history, goes_on=False)
    assert names(record) == ["blocks_of_mine.py", "net_of_mine.py"]
    first = code_of(record)
    importlib.import_module("late_of_mine")
    keep_code(record, stage_of().history, goes_on=True)
    assert set(first.files) < set(code_of(record).files)
    assert names(record) == FILES
    require_imported([record])
