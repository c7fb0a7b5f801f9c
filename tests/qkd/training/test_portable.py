"""PORTABLE=1: the same bits on every x86-64 processor, or an error of one line before anything.

After a change that alters numbers on purpose, or of torch's version, write the literals anew:
python -m tests.support.literals.
"""

import json
import shutil
import subprocess
import sys

import pytest
import torch
from msgspec.structs import replace

from qkd.phases import SELF_STUDY
from qkd.records.schema import Environment, Place, Result
from qkd.spec.value import encode
from qkd.train import run_stage
from qkd.training import checkpoint, environment, portable, processor
from qkd.training.checkpoint import weights_sha256
from qkd.training.loop import Stopped
from qkd.training.portable import VARIABLES, NotPortable, obstacles
from qkd.training.runtime import Runtime
from tests.qkd.training.test_train import run, stopped_after
from tests.support import small
from tests.support.launching import ROOT
from tests.support.literals import LITERALS, differences, first_steps
from tests.support.literals import environment as literals_environment

OBSTACLE = next(obstacles(on_cpu=True, environment={}), "")
needs_avx2 = pytest.mark.skipif(bool(OBSTACLE), reason=OBSTACLE)


@needs_avx2
def test_the_first_steps_of_every_phase_end_in_the_committed_bits():
    found = differences(first_steps())
    assert found == [], f"on {processor.processor()}: {found}"


@pytest.mark.emulated
@pytest.mark.parametrize("cpu", ["EPYC-Rome", "Haswell"])
def test_and_so_they_do_on_another_makers_processor(cpu):
    emulator = shutil.which("qemu-x86_64")
    if emulator is None:
        pytest.skip("there is no qemu-x86_64: apt-get install qemu-user")
    found = differences(first_steps(emulator, "-cpu", cpu))
    assert found == [], f"emulated {cpu} on {processor.processor()}: {found}"


@needs_avx2
@pytest.mark.parametrize("capability", ["default", "avx512"])
def test_without_it_another_instruction_set_gives_other_bits(capability):
    if capability == "avx512" and "avx512f" not in processor.instructions():
        pytest.skip("this processor has no AVX-512")
    name = "resnet, interval"
    own = {"ATEN_CPU_CAPABILITY": capability, "ONEDNN_MAX_CPU_ISA": "", "MKL_CBWR": ""}
    found = first_steps(names=(name,), variables=own)
    assert found[name].keys() == LITERALS["cases"][name].keys()
    assert found[name]["tutoring"] != LITERALS["cases"][name]["tutoring"]


def test_a_digest_of_weights_is_of_names_types_shapes_and_bits_alone():
    values = torch.arange(16.0).reshape(1, 4, 2, 2)
    state = {"b": torch.ones((), dtype=torch.int64), "a": values}
    known = weights_sha256(state)
    relaid = values.to(memory_format=torch.channels_last)
    assert relaid.stride() != values.stride()
    assert weights_sha256({"a": relaid, "b": state["b"]}) == known
    others = [
        {**state, "a": values.reshape(4, 4)},
        {**state, "a": values.double()},
        {**state, "a": torch.nextafter(values, torch.tensor(99.0))},
        {"a": values, "c": state["b"]},
        {"a": values},
    ]
    assert len({known, *map(weights_sha256, others)}) == 6
    assert weights_sha256({"a": torch.tensor(-0.0)}) != weights_sha256({"a": torch.tensor(0.0)})


@pytest.mark.parametrize("parts", [small.SELF_STUDIED, small.CO_STUDIED, small.TUTORED])
def test_a_result_has_the_digests_of_what_was_trained(trained, parts):
    record = trained.record(small.history(*parts))
    result, content = record.read(record.result_file, Result), small.loaded(record)
    assert result.weights_sha256 == weights_sha256(content["student"]["network"])
    teacher = content["teacher"]
    expected = weights_sha256(teacher["network"]) if teacher else ""
    assert result.teacher_weights_sha256 == expected
    assert bool(expected) == (parts == small.CO_STUDIED)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"threads": 2}, "THREADS=2"),
        ({"compiled": True}, "COMPILE=1"),
        *(({"environment": {name: "other"}}, f"{name}=other is set") for name in VARIABLES),
    ],
)
def test_what_it_cannot_hold_with_is_said_in_a_line(given, says):
    found = list(obstacles(here=False, **{"environment": {}, **given}))
    assert len(found) == 1
    assert says in found[0]
    assert "\n" not in found[0]


def test_variables_that_are_unset_empty_or_as_needed_are_no_obstacle():
    for own in ({}, dict.fromkeys(VARIABLES, ""), VARIABLES):
        assert list(obstacles(here=False, environment=own)) == []


@pytest.mark.parametrize(
    ("machine", "flags", "devices", "says"),
    [
        ("aarch64", {"avx2", "fma"}, 0, "aarch64, not x86-64"),
        ("", {"avx2", "fma"}, 0, "unknown, not x86-64"),
        ("x86_64", {"avx", "fma"}, 0, "no AVX2"),
        ("x86_64", {"avx2", "fma"}, 1, "CUDA"),
        ("x86_64", {"avx2", "fma", "avx512f"}, 0, None),
    ],
)
def test_a_processor_that_cannot_and_a_cuda_device_are_obstacles(
    monkeypatch, machine, flags, devices, says
):
    monkeypatch.setattr(portable.platform, "machine", lambda: machine)
    monkeypatch.setattr(portable.processor, "instructions", lambda: frozenset(flags))
    monkeypatch.setattr(portable, "cuda_devices", lambda: devices)
    found = list(obstacles(environment={}))
    assert len(found) == (says is not None)
    assert says is None or says in found[0]
    left = list(obstacles(on_cpu=True, environment={}))
    assert left == ([] if devices else found)


@pytest.mark.parametrize("given", [{"compile": True}, {"threads": 2}, {"device": "cuda"}])
def test_a_runtime_cannot_be_portable_and_otherwise(given):
    with pytest.raises(ValueError, match="PORTABLE=1 is for one thread"):
        Runtime(portable=True, **given)


@needs_avx2
def test_a_process_that_began_without_the_variables_trains_nothing(
    trained, runtime, tmp_path, monkeypatch
):
    # Set too late: torch, in this process, has long read them.
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(environment, "capability_of_torch", lambda: "AVX512")
    stage = small.stage(*small.SELF_STUDIED)
    store = small.beginning(trained, tmp_path)
    with pytest.raises(NotPortable, match="torch takes AVX512"):
        run_stage(stage, store, replace(runtime, portable=True))
    assert not store.record(stage.history).path.exists()


def train(folder, *arguments, **variables):
    stage = small.starts()[0]
    folder.mkdir(exist_ok=True)
    (folder / "stage.json").write_bytes(encode(stage))
    command = [
        sys.executable,
        "-m",
        "qkd.train",
        str(folder / "stage.json"),
        "--results",
        str(folder),
        "--data",
        str(folder),
        "--device",
        "cpu",
        *arguments,
    ]
    return stage, subprocess.run(
        command,
        cwd=ROOT,
        env=literals_environment(variables),
        capture_output=True,
        text=True,
        check=False,
    )


@needs_avx2
def test_a_stage_by_itself_begins_again_with_the_variables(tmp_path):
    stage, done = train(tmp_path / "new", "--portable")
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "new" / "stages").iterdir()
    known = json.loads((folder / "env.json").read_text())
    assert known["capability"] == "AVX2"
    assert known["portable"] is True
    assert [known[name.lower()] for name in VARIABLES] == list(VARIABLES.values())
    assert known["places"] == [{name: known[name] for name in Place.__struct_fields__}]
    assert folder.name.endswith(stage.history.digest)


@needs_avx2
@pytest.mark.parametrize(
    ("arguments", "variables", "says"),
    [
        (("--threads", "2"), {}, "THREADS=2"),
        ((), {"MKL_CBWR": "AVX2"}, "MKL_CBWR=AVX2 is set, where COMPATIBLE is needed"),
    ],
)
def test_a_stage_by_itself_is_refused_before_anything(tmp_path, arguments, variables, says):
    _, done = train(tmp_path, "--portable", *arguments, **variables)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: PORTABLE=1 cannot hold")
    assert says in line
    assert [path.name for path in tmp_path.iterdir()] == ["stage.json"]


def begun(trained, runtime, folder, steps=6):
    """A stage that was stopped after some steps: its store and record."""
    stage = small.stage((SELF_STUDY, 20))
    store = small.beginning(trained, folder, small.PAIR.student_start)
    with pytest.raises(Stopped):
        run_stage(stage, store, runtime, should_stop=stopped_after(steps))
    return stage, store, store.record(stage.history)


def test_a_stage_that_is_resumed_elsewhere_keeps_every_place(
    trained, runtime, tmp_path, monkeypatch
):
    stage, store, _ = begun(trained, runtime, tmp_path)
    other = processor.Processor("Other", "OtherMaker", 1, 2, 3)
    monkeypatch.setattr(environment, "processor", lambda: other)
    with pytest.raises(Stopped):
        run_stage(stage, store, runtime, should_stop=stopped_after(3))
    monkeypatch.undo()
    record = run(stage, store, runtime)
    known = record.read(record.environment_file, Environment)
    here = processor.processor()
    assert [place.device_name for place in known.places] == [here.name, "Other"]
    assert known.device_name == here.name
    assert (known.places[1].vendor, known.places[1].stepping) == ("OtherMaker", 3)


def test_a_stage_that_older_code_began_keeps_what_its_environment_said(trained, runtime, tmp_path):
    stage, store, record = begun(trained, runtime, tmp_path)
    content = small.loaded(record)
    del content["version"], content["places"]
    checkpoint.save(record.checkpoint_file, content)
    record.write_json(record.environment_file, {"torch": "2.9.0", "device_name": "Old"})
    record = run(stage, store, runtime)
    first, last = record.read(record.environment_file, Environment).places
    assert first == Place(torch="2.9.0", device_name="Old")
    assert last.torch == str(torch.__version__)


def test_a_stage_that_began_compiled_goes_on_so_and_is_not_portable(runtime):
    from qkd.training.loop import _as_it_began

    held = replace(runtime, portable=True)
    assert _as_it_began(held, {"compile": True}).portable is False
    assert _as_it_began(held, {}).portable is True


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "processor\t: 0\nvendor_id\t: AuthenticAMD\ncpu family\t: 23\nmodel\t\t: 49\n"
            "model name\t: AMD EPYC: 7702\nstepping\t: 0\nflags\t\t: fma AVX2\n\nmodel\t: 1\n",
            processor.Processor("AMD EPYC: 7702", "AuthenticAMD", 23, 49, 0),
        ),
        (
            "machdep.cpu.family: 6\nmachdep.cpu.brand_string: Intel(R) Core\n"
            "machdep.cpu.vendor: GenuineIntel\nmachdep.cpu.model: many\n"
            "machdep.cpu.leaf7_features: AVX2\n",
            processor.Processor("Intel(R) Core", "GenuineIntel", 6, None, None),
        ),
    ],
)
def test_what_a_processor_says_of_itself_is_read(monkeypatch, text, expected):
    monkeypatch.setattr(processor, "_facts", lambda: processor.read_facts(text))
    assert processor.processor.__wrapped__() == expected
    assert "avx2" in processor.instructions.__wrapped__()
    monkeypatch.setattr(processor, "_facts", dict)
    assert processor.processor.__wrapped__().vendor == ""
    assert processor.instructions.__wrapped__() == frozenset()
