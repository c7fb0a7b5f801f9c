import json

import msgspec
import pytest
from msgspec.structs import replace

from qkd.records.lock import Lock
from qkd.records.record import STAGES, BadRecord, Record, State, Store, readable_name, store_of
from qkd.records.schema import Line
from tests.support import small

STAGE = small.stage(*small.CO_STUDIED)


@pytest.fixture
def record(tmp_path):
    record = Store(tmp_path).record(STAGE.history)
    record.open(STAGE)
    return record


def test_the_states_are_read_off_the_directory(record):
    assert record.state() == State.MISSING
    with Lock(record.lock_file):
        assert record.state() == State.RUNNING
    assert record.state() == State.MISSING
    record.write_json(record.failed_file, {"error": "E"})
    assert record.state() == State.FAILED
    record.write_json(record.result_file, {})
    assert record.state() == State.DONE


def test_the_states_of_many_are_those_of_each_as_they_are_now(tmp_path, monkeypatch):
    store = Store(tmp_path / "own", read_only=[tmp_path / "reference"])
    histories = [replace(STAGE.history, seed=seed) for seed in range(6)]
    # After the store has looked, as another launch leaves them.
    done, failed, running, stopped, reference = map(store.record, histories[:5])
    reference.path = tmp_path / "reference" / reference.path.name
    for record in (done, failed, running, stopped, reference):
        record.path.mkdir(parents=True)
    for file in (done.result_file, failed.failed_file, reference.result_file):
        file.write_text("{}")
    asked = []
    state = Record.state
    monkeypatch.setattr(Record, "state", lambda self: (asked.append(self), state(self))[1])
    with Lock(running.lock_file):
        states = store.states(histories)
    assert states == ["done", "failed", "running", "missing", "done", "missing"]
    assert [record.path for record in asked] == [
        record.path for record in (done, failed, running, stopped, reference)
    ]  # the last has no directory: it is not asked for
    done.result_file.unlink()
    assert store.states(histories[:1]) == ["missing"]


def test_a_record_is_found_once_its_directory_was_seen(tmp_path):
    store = Store(tmp_path)
    assert store.found(STAGE.history) is None
    path = store.record(STAGE.history).path
    path.mkdir()
    assert store.found(STAGE.history) is None
    store.refresh()
    assert store.found(STAGE.history).path == path


def test_a_record_that_was_never_begun_is_missing(tmp_path):
    assert Store(tmp_path / "nowhere").record(STAGE.history).state() == State.MISSING


def test_a_name_is_for_people_and_its_digest_counts(record):
    digest = STAGE.history.digest
    name = f"resnet8-width4-w2a2-self-study20-co-study20-s0-{digest}"
    assert record.path.name == name
    assert record.digest == digest
    assert readable_name(small.PAIR.student_start) == "resnet8-width4-fp-pre-training12-s0"


def test_a_stage_is_read_back(record):
    assert record.stage() == STAGE
    assert record.stage().history.digest == record.digest


def truncate(text):
    return text[: len(text) // 2]


def misspell(text):
    return text.replace(b'"seed"', b'"sed"')


def no_parts(text):
    content = json.loads(text)
    content["history"] |= {"parts": [], "teacher": None}
    return json.dumps(content).encode()


@pytest.mark.parametrize("damage", [truncate, misspell, no_parts, lambda _: b"", lambda _: b"\xff"])
def test_a_stage_file_that_cannot_be_read_is_a_bad_record(record, damage):
    record.stage_file.write_bytes(damage(record.stage_file.read_bytes()))
    with pytest.raises(BadRecord, match=r"stage\.json"):
        record.stage()


@pytest.mark.parametrize("text", ["", "{", "[]", "[" * 100_000, '{"a": NaN}', '{"a": -Infinity}'])
def test_a_json_file_that_cannot_be_read_is_a_bad_record(record, text):
    record.result_file.write_text(text)
    with pytest.raises(BadRecord, match=r"result\.json"):
        record.read_json(record.result_file)


def test_a_missing_file_is_a_bad_record(record):
    with pytest.raises(BadRecord, match=r"env\.json"):
        record.read_json(record.environment_file)


def line(step):
    return Line(step=step, phase="self-study", losses={"a": 0.5}, learning_rate=0.1)


def test_no_number_that_is_none_is_written(record):
    with pytest.raises(ValueError, match="not JSON compliant"):
        record.write_json(record.result_file, {"loss": float("nan")})
    with pytest.raises(ValueError, match="only finite numbers"):
        msgspec.structs.replace(line(1), losses={"a": float("nan")})
    assert record.metrics() == []
    assert not record.result_file.exists()


def test_lines_are_appended_and_cut_back(record):
    assert record.metrics() == []
    record.cut_metrics(0)
    first = record.append_metrics(line(1))
    assert record.append_metrics(line(2)) == 2 * first
    with record.metrics_file.open("ab") as file:
        file.write(b'{"step"')  # a killed writer's
    with pytest.raises(BadRecord, match="line 3"):
        record.metrics()
    record.cut_metrics(first)
    assert record.metrics() == [line(1)]
    with pytest.raises(BadRecord, match="has lost lines"):
        record.cut_metrics(first + 1)


WHOLE = '{"step": 1, "phase": "a", "losses": {}, "learning_rate": 0}\n'


@pytest.mark.parametrize("line", ["3", "{", '{"loss": Infinity}', '{"step": 1}'])
def test_a_bad_line_is_named(record, line):
    record.metrics_file.write_text(WHOLE + line + "\n")
    with pytest.raises(BadRecord, match="line 2"):
        record.metrics()


def test_a_store_finds_records_by_digest_whatever_their_name(tmp_path):
    renamed = tmp_path / f"anything-{STAGE.history.digest}"
    renamed.mkdir()
    store = Store(tmp_path)
    assert store.record(STAGE.history).path == renamed
    other = small.history(*small.SELF_STUDIED)
    assert store.record(other).path.name.endswith(f"-s0-{other.digest}")


def test_the_writable_root_hides_the_read_only_ones(tmp_path):
    roots = [tmp_path / name for name in ("own", "near", "far")]
    histories = [small.history(*p) for p in (small.SELF_STUDIED, small.CO_STUDIED, small.TUTORED)]
    for place, root in enumerate(roots):
        for history in histories[: place + 1]:
            (root / history.digest).mkdir(parents=True)
    store = Store(roots[0], read_only=roots[1:])
    found = [store.record(history).path.parent for history in histories]
    assert found == roots
    assert [record.digest for record in store.records()] == [
        path.name
        for path in sorted(root / h.digest for root, h in zip(roots, histories, strict=True))
    ]


def test_files_among_the_records_are_none(tmp_path):
    (tmp_path / "README.md").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path)
    store = Store(tmp_path / "none")
    assert store.records() == []
    assert [r.path.name for r in Store(tmp_path).records()] == ["link"]


def test_a_store_looks_again_when_it_is_told_to(tmp_path):
    store = Store(tmp_path)
    Record(tmp_path / f"new-{STAGE.history.digest}").open(STAGE)
    assert store.records() == []
    store.refresh()
    assert [record.stage() for record in store.records()] == [STAGE]


def test_the_store_of_a_results_folder(tmp_path):
    assert store_of(tmp_path).root == tmp_path / STAGES
