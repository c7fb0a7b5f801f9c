"""A consumer is judged by the median image, by its answers, and by what is known of it."""

import numpy as np
import pytest
import torch
from torch import nn

from qkd.export import compare as module
from qkd.export import known
from qkd.export.compare import compare
from qkd.export.consumers.session import Consumer, Refused, Session
from qkd.export.known import KNOWN_WRONG, known_wrong
from qkd.export.told import Form, Told

IMAGES = torch.randn(300, 8, generator=torch.Generator().manual_seed(0))
BATCHES = [(part, torch.zeros(len(part), dtype=torch.int64)) for part in IMAGES.split(100)]


def network():
    torch.manual_seed(0)
    return nn.Linear(8, 5).eval()


def consumer(run, name="a", version="1", **changes):
    one = Consumer(name, ("form",), lambda: version, lambda _: Session(run, 4, 1), "set nothing")
    return one._replace(**changes)


def own(images):
    with torch.inference_mode():
        return network()(torch.from_numpy(images)).numpy()


def verdict(run, **changes):
    found = compare(network(), {"form": b""}, [consumer(run, **changes)], BATCHES)
    (trial,) = found.trials
    return trial


def test_the_network_itself_agrees():
    trial = verdict(own)
    assert (trial.verdict, trial.images, trial.agreement) == ("agrees", 300, 1)
    assert (trial.largest, trial.layers, trial.integer_layers) == (0, 4, 1)
    assert trial.note == "set nothing"


def test_a_few_images_on_a_rounding_edge_are_no_disagreement():
    def flipped(images):
        logits = own(images)
        logits[::50, 0] += 0.05
        return logits

    trial = verdict(flipped)
    assert trial.verdict == "agrees"
    assert trial.largest == pytest.approx(0.05, rel=0.01)


def test_logits_that_are_off_on_every_image_are_wrong_though_the_answers_agree():
    trial = verdict(lambda images: own(images) * np.float32(1.01))
    assert (trial.verdict, trial.agreement) == ("wrong", 1)


def test_answers_that_differ_are_wrong_though_most_images_are_exact():
    def some(images):
        logits = own(images)
        logits[:5] = -logits[:5]
        return logits

    trial = verdict(some)
    assert (trial.verdict, trial.median) == ("wrong", 0)


@pytest.mark.parametrize(
    "run",
    [
        lambda images: own(images)[:, :3],
        lambda images: own(images) * np.nan,
        lambda images: 1 // 0,
    ],
)
def test_what_fails_as_it_runs_is_refused(run):
    assert verdict(run).verdict == "refused"


def test_a_known_consumer_is_excused_in_its_own_version_only():
    one = KNOWN_WRONG[0]

    def turned(images):
        return -own(images)

    assert verdict(turned, name=one.consumer, version=one.version).verdict == "known wrong"
    assert verdict(turned, name=one.consumer, version="0").verdict == "wrong"
    assert known_wrong(one.consumer, "0") == ""


@pytest.mark.parametrize(
    ("flags", "lacks"), [("fma avx2", True), ("avx2 avx_vnni", False), ("avx512_vnni", False)]
)
def test_overflowing_sums_are_excused_on_processors_without_vnni_only(
    tmp_path, monkeypatch, flags, lacks
):
    # onnxruntime 1.32.0 sums 8-bit products in 16 bits there, unless session.x64quantprecision = 1.
    (tmp_path / "cpuinfo").write_text(f"model name : x\nflags\t\t: fpu {flags}\n")
    monkeypatch.setattr(known, "CPU_FLAGS", tmp_path / "cpuinfo")
    assert bool(known_wrong("onnxruntime, ENABLE_ALL", "1.32.0")) is lacks
    assert not known_wrong("onnxruntime, exact on every x86", "1.32.0")
    assert not known_wrong("onnxruntime, DISABLE_ALL", "1.32.0")
    monkeypatch.setattr(known, "CPU_FLAGS", tmp_path / "none")
    assert not known_wrong("onnxruntime, ENABLE_ALL", "1.32.0")


def test_a_consumer_that_is_not_there_or_refuses_the_file_is_said_to_be_so():
    def missing():
        raise ImportError("no such module")

    def refusing(_):
        raise Refused("no")

    found = compare(
        network(),
        {"form": b""},
        [
            consumer(own, version=missing)._replace(version=missing),
            consumer(own, open=refusing),
            consumer(own, forms=("another",)),
        ],
        BATCHES,
    )
    assert [trial.verdict for trial in found.trials] == ["not installed", "refused"]
    assert "make consumers" in found.trials[0].note


def test_a_slow_consumer_ends_after_the_batch_in_which_its_time_is_over():
    assert verdict(own, most_seconds=-1.0).verdict == "refused"
    assert verdict(own, most_seconds=0.0).images == 100


def test_the_rounding_of_the_network_is_measured_in_float64():
    found = compare(network(), {}, [], BATCHES)
    assert 0 < found.rounding < 1e-6
    assert found.images == 300
    assert module.EXACT_IMAGES >= 300


def test_a_form_is_verified_by_a_consumer_that_agrees():
    trials = tuple(
        verdict(own).__class__(form=form, consumer="a", verdict=word)
        for form, word in (("x", "agrees"), ("y", "not installed"), ("x", "not installed"))
    )
    forms = tuple(Form(name=name, file=name) for name in ("x", "y", "packed"))
    told = Told(stage="a", record="b", opset=21, forms=forms, trials=trials)
    assert told.unverified == ("y",)
    assert not told.failures
