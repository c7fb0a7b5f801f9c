"""A stage is exported by name, checked, and nothing of a record leads elsewhere."""

import hashlib
import json
import shutil
import subprocess
import sys

import pytest
import torch
from msgspec.structs import replace
from safetensors.torch import load_file

from qkd.export import writing
from qkd.export.choice import CONSUMERS
from qkd.export.consumers import onnxruntime_cpu
from qkd.export.stage import ExportError, find
from qkd.export.stage import trained as networks_of
from qkd.export.table import tell
from qkd.export.told import Told, Trial
from qkd.export.writing import export
from qkd.imports import load_file as load_module
from qkd.measures.cost import as_packed
from qkd.phases import SELF_STUDY
from qkd.quantizers.packed import read
from qkd.records.record import BadRecord, store_of
from qkd.spec import Learner, Network, Stage
from qkd.spec.value import decode
from qkd.train import run_stage
from qkd.training.checkpoint import BadCheckpoint
from tests.support import small
from tests.support.exported import WHY
from tests.support.launching import ROOT, environment

CO_STUDIED = small.stage(*small.CO_STUDIED).history
DEFAULT = "onnxruntime, ENABLE_ALL"


@pytest.fixture
def onnxruntime():
    for name in ("onnx", "onnxscript"):
        pytest.importorskip(name, reason=WHY)
    return pytest.importorskip("onnxruntime", reason=WHY)


@pytest.fixture
def results(tmp_path, trained):
    """A results folder with copies of the co-studied stage and its start."""
    for history in (CO_STUDIED, small.PAIR.student_start):
        source = trained.record(history).path
        shutil.copytree(source, tmp_path / "results" / "stages" / source.name)
    return tmp_path / "results"


@pytest.fixture
def record(results):
    return store_of(results).record(CO_STUDIED)


def data(runtime):
    return small.Path(runtime.data)


@pytest.mark.slow
def test_everything_that_the_stage_has_is_written_and_tried(
    onnxruntime, results, record, runtime, capsys
):
    told, folder = export(results, record.digest, data(runtime))
    assert folder == results / "export" / record.path.name
    assert decode((folder / "export.json").read_bytes(), Told) == told
    result = record.read_json(record.result_file)
    assert told.images == result["student"]["images"]
    assert told.top1 == pytest.approx(result["student"]["top1"])
    assert not told.failures
    files = {form.file: form for form in told.forms if form.file}
    assert set(files) == {file.name for file in folder.iterdir()} - {"export.json"}
    assert {form.name for form in told.forms} == {
        "onnx", "onnx-int4", "onnx-folded", "qonnx", "packed", "safetensors", "teacher",
    }  # fmt: skip
    for name, form in files.items():
        content = (folder / name).read_bytes()
        assert (form.bytes, form.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    tried = {(trial.form, trial.consumer) for trial in told.trials}
    assert {(f, c.name) for c in CONSUMERS for f in c.forms} <= tried
    (default,) = (one for one in told.trials if (one.form, one.consumer) == ("onnx", DEFAULT))
    assert (default.verdict, default.images) == ("agrees", told.images)
    assert default.version == onnxruntime.__version__
    subject = networks_of(store_of(results), record.digest)
    packed, expected = read(folder / "student.packed.safetensors"), as_packed(subject.student)
    for name, one in expected.integers.items():
        assert torch.equal(packed.integers[name].codes, one.codes)
    content = small.loaded(record)
    for side in ("student", "teacher"):
        state = content[side]["network"]
        found = load_file(folder / f"{side}.safetensors")
        assert found.keys() == state.keys()
        assert all(torch.equal(found[name], tensor) for name, tensor in state.items())
    assert result["cost"]["packed_bytes"] == files["student.packed.safetensors"].bytes
    assert tell(told, folder) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in files)


def test_without_onnx_the_others_are_written_and_the_exit_code_says_so(
    results, record, runtime, monkeypatch, capsys
):
    stale = results / "export" / record.path.name / "student.onnx"
    stale.parent.mkdir(parents=True)
    stale.write_text("of an earlier export")
    monkeypatch.setitem(sys.modules, "onnx", None)
    told, folder = export(results, record.path.name, data(runtime))
    assert sorted(file.name for file in stale.parent.iterdir()) == [
        "export.json",
        "student.packed.safetensors",
        "student.safetensors",
        "teacher.safetensors",
    ]
    assert tell(told, folder) == 1
    assert "no onnx: " in capsys.readouterr().out
    assert not told.trials


def test_a_full_precision_stage_that_trained_no_teacher_has_its_student_alone(
    results, runtime, monkeypatch
):
    monkeypatch.setitem(sys.modules, "onnx", None)
    told, _ = export(results, small.PAIR.student_start.digest, data(runtime))
    assert [form.file for form in told.forms if form.file] == ["student.safetensors"]


@pytest.mark.slow
def test_a_form_that_a_consumer_computes_wrongly_is_not_written(
    onnxruntime, results, record, runtime, monkeypatch, capsys
):
    def turned(content):
        session = onnxruntime_cpu.opened(content)
        return session._replace(run=lambda images: -session.run(images))

    wrong = onnxruntime_cpu.CONSUMERS[0]._replace(open=turned, forms=("onnx-int4",))
    monkeypatch.setattr(writing, "CONSUMERS", (wrong, onnxruntime_cpu.CONSUMERS[4]))
    told, folder = export(results, record.digest, data(runtime))
    narrow = [trial.verdict for trial in told.trials if trial.form == "onnx-int4"]
    assert narrow == ["wrong", "agrees"]
    assert not (folder / "student.int4.onnx").exists()
    assert (folder / "student.onnx").exists()
    assert tell(told, folder) == 1
    assert "not written: onnx-int4" in capsys.readouterr().err


def test_words_of_libraries_print_nothing_but_text(capsys, tmp_path):
    trial = Trial(form="onnx", consumer="a\x1b[31m [bold]b", verdict="refused", note="[red]c\x07")
    told = Told(stage="0" * 16, record="x", opset=21, forms=(), trials=(trial,))
    assert tell(told, tmp_path) == 1
    found = "".join(capsys.readouterr())
    assert "\x1b" not in found
    assert "\x07" not in found
    assert "[bold]" in found


WEIGHT_NORM = """
from torch import nn
from torch.nn.utils import weight_norm

def net():
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, 2), nn.ReLU(), weight_norm(nn.Conv2d(4, 4, 3, 2)), nn.ReLU(),
        nn.Flatten(), nn.Linear(36, 10),
    )
"""


@pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")
def test_a_network_that_torch_cannot_copy_is_refused_as_onnx_in_a_line(
    onnxruntime, runtime, tmp_path, user_file, capsys
):
    file = user_file("normed_net.py", WEIGHT_NORM)
    network = Network(name="normed", factory="normed_net:net")
    history = small.history((SELF_STUDY, 2))
    history = replace(history, student=Learner(network=network, quantization=small.W2A2))
    store = store_of(tmp_path)
    run_stage(Stage(history=history, steps=2), store, replace(runtime, matrix_file=str(file)))
    told, folder = export(tmp_path, history.digest, data(runtime), file)
    assert tell(told, folder) == 1
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("no onnx: ")]
    assert len(lines) == 1, lines
    assert lines[0].startswith("no onnx: torch cannot export the network: ")
    assert len(lines[0]) < 500
    assert sorted(form.file for form in told.forms if form.file) == [
        "student.packed.safetensors",
        "student.safetensors",
    ]


def test_a_network_that_is_not_as_it_was_trained_is_an_error_in_a_line(
    runtime, tmp_path, user_file
):
    text = WEIGHT_NORM.replace("weight_norm(nn.Conv2d(4, 4, 3, 2))", "nn.Conv2d(4, 4, 3, 2)")
    file = user_file("changing_net.py", text)
    history = small.history((SELF_STUDY, 2))
    network = Network(name="changing", factory="changing_net:net")
    history = replace(history, student=Learner(network=network, quantization=small.W2A2))
    store = store_of(tmp_path)
    run_stage(Stage(history=history, steps=2), store, replace(runtime, matrix_file=str(file)))
    store.refresh()
    store.record(history).code_file.unlink()  # as of older code, which kept none
    for old, new in (("4, 3, 2)", "4, 3, 2, bias=False)"), ("nn.Sequential(", "nn.Missing(")):
        assert old in text
        file.write_text(text.replace(old, new))
        del sys.modules["changing_net"]
        load_module(file)
        with pytest.raises(ExportError, match="cannot be built as it was trained: ") as caught:
            export(tmp_path, history.digest, data(runtime), file)
        assert "\n" not in str(caught.value)
        assert not (tmp_path / "export").exists()


def test_a_disk_that_is_full_leaves_the_earlier_export_whole(results, record, runtime, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    export(results, record.digest, data(runtime))
    folder = results / "export" / record.path.name
    before = small.hashes(folder)
    written = iter(range(2))

    def full(path, content):
        if next(written, None) is None:
            raise OSError(28, "No space left on device")
        path.write_bytes(content)

    monkeypatch.setattr(writing, "write_atomically", full)
    with pytest.raises(OSError, match="No space left"):
        export(results, record.digest, data(runtime))
    assert small.hashes(folder) == before
    assert [one.name for one in folder.parent.iterdir()] == [folder.name]


def test_a_stage_is_found_by_digest_name_and_folder(results, record, monkeypatch):
    store = store_of(results)
    for named in (record.digest, record.path.name, str(record.path), f"{record.path}/"):
        assert find(store, named).path == record.path
    monkeypatch.chdir(results.parent)
    assert find(store, f"results/stages/{record.path.name}").path == record.path


@pytest.mark.parametrize(
    "spoil", [lambda name: name[:-1] + "x", lambda name: name[-16:-1], str.upper]
)
def test_an_unknown_stage_is_an_error_that_lists_what_is_close(results, record, spoil):
    with pytest.raises(ExportError, match=record.digest):
        find(store_of(results), spoil(record.path.name))


@pytest.mark.parametrize("named", ["", ".", "..", "../stages", "/", "results"])
def test_what_is_no_record_is_no_stage(results, named):
    with pytest.raises(ExportError, match="is no stage of"):
        find(store_of(results), named)


def test_a_folder_of_other_results_is_not_taken_for_one_of_ours(results, record, tmp_path):
    other = tmp_path / "other" / record.path.name
    shutil.copytree(record.path, other)
    with pytest.raises(ExportError, match="is no stage of"):
        find(store_of(results), str(other))


def spoiled(record, what):
    if what == "not done":
        record.result_file.unlink()
    if what == "without weights":
        record.checkpoint_file.unlink()
    if what == "tampered":
        record.checkpoint_file.write_bytes(record.checkpoint_file.read_bytes() + b"x")
    if what == "of another stage":
        content = json.loads(record.stage_file.read_text())
        content["history"]["seed"] = 7
        record.stage_file.write_text(json.dumps(content))
    if what == "a name that climbs":
        text = record.stage_file.read_text()
        name = small.PAIR.student.name
        record.stage_file.write_text(text.replace(f'"{name}"', '"../../../gone"'))


@pytest.mark.parametrize(
    ("what", "error", "says"),
    [
        ("not done", ExportError, "only a done stage"),
        ("without weights", ExportError, "was removed: train it again"),
        ("tampered", BadCheckpoint, "sha256"),
        ("of another stage", BadRecord, "is of the stage"),
        ("a name that climbs", BadRecord, "name"),
    ],
)
def test_a_record_that_cannot_be_believed_writes_nothing(
    results, record, runtime, tmp_path, what, error, says
):
    spoiled(record, what)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(error, match=says):
        export(results, record.digest, data(runtime))
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("arguments", "says"),
    [(["none"], "none is no stage of"), (["none", "--matrix-file", "no.py"], "no matrix file")],
)
def test_the_command_says_what_is_wrong(tmp_path, arguments, says):
    command = [sys.executable, "-m", "qkd.export", *arguments, "--results", str(tmp_path)]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=environment(tmp_path, tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr
