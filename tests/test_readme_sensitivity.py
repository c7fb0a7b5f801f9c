"""Co-studying varied: the table of A2, computed from the committed records, without the report."""

import json

import numpy as np
import pandas as pd
from scipy import stats

from qkd.spec import Stage
from qkd.spec.value import decode
from tests.test_readme import (
    README,
    REFERENCE,
    RESULTS,
    difference,
    judged,
    mean,
    quantized,
    results_of,
    table,
    teacher_before,
    told_spread,
)

RUN = REFERENCE / "evidence"
TEXT = " ".join(RESULTS.split())
CELLS = pd.read_csv(RUN / "cells.csv").query(
    "matrix == 'sensitivity' and status == 'done' and weight_bits == 2"
)
FOUND = CELLS.pivot(index="seed", columns="method", values="top1")
STAGES = CELLS.pivot(index="seed", columns="method", values="stage")
READY = results_of("resnet56-fp-ready-*")[0]["student"]
SHOWN = table(RESULTS, "method, seeds 10 to 12")


def losses(method: str) -> tuple[float, float]:
    """Test losses, means over seeds: the student's, and that of the teacher that it ends with."""
    own, teachers = [], []
    for stage in STAGES[method]:
        (file,) = RUN.glob(f"stages/*-{stage}/result.json")
        own.append(json.loads(file.read_bytes())["student"]["loss"])
        if method == "kd":
            teachers.append(READY["loss"])
        else:
            teachers.append(teacher_before(RUN, stage)["loss"])
    return float(np.mean(own)), float(np.mean(teachers))


def test_the_table_is_that_of_the_committed_records():
    assert sorted(SHOWN.index) == sorted(FOUND)
    assert list(FOUND.index) == [10, 11, 12]
    assert not FOUND.isna().any().any()
    teachers = CELLS.groupby("method").teacher_top1.mean()
    for name in SHOWN.index:
        own, teacher = losses(name)
        less = "" if name == "qkd" else difference(FOUND, f"{name} - qkd")
        expected = [
            mean(FOUND[name]),
            f"{own:.3f}",
            f"{teachers[name]:.2f}",
            f"{teacher:.3f}",
            less,
        ]
        assert list(SHOWN.loc[name].iloc[1:]) == expected, name
    assert f"- **Spread.** {told_spread(FOUND)}." in TEXT
    assert len(quantized(FOUND)) == len(SHOWN)


def test_what_is_said_of_the_variants_follows_from_the_records():
    found = {name: judged(FOUND, f"{name} - qkd") for name in FOUND if name != "qkd"}
    half = {name: stats.t.ppf(0.975, one.freedom) * one.error for name, one in found.items()}
    assert all(abs(one.mean) < half[name] for name, one in found.items())
    assert {f"{one.power:.2f}" for one in found.values()} == {"0.39"}
    assert "Three seeds had a chance of 0.39 to see half a point." in TEXT
    teachers = READY["top1"] - CELLS.groupby("method").teacher_top1.mean()
    weak, whole = teachers["qkd-teacher-kl0.1"], teachers["qkd"]
    assert f"it falls by {weak:.2f} points instead of {whole:.2f}, and its test loss" in TEXT
    assert losses("qkd-teacher-kl0.1")[1] < losses("qkd")[1]
    assert abs(teachers["qkd-teacher-ramp"] - whole) < 0.1
    assert found["qkd-teacher-kl0.1"].mean > 0 > found["qkd-teacher-ramp"].mean
    said = found["qkd-teacher-kl0.1"].text.removeprefix("+").replace(" [", " points [")
    assert f"of its weight QKD leans above QKD as it is, by {said}." in " ".join(README.split())
    assert abs(FOUND["qkd-teacher-kl0.1"].mean() - FOUND["kd"].mean()) < 0.05


def test_what_is_varied_is_what_is_said():
    for method, weight, ramp in (("qkd-teacher-kl0.1", 0.1, 0), ("qkd-teacher-ramp", 1.0, 200)):
        for stage in STAGES[method]:
            (file,) = RUN.glob(f"stages/*-{stage}/stage.json")
            co_study = decode(file.read_bytes(), Stage).history.parts[1]
            _, kl = co_study.phase.teacher
            assert (co_study.steps, kl.weight, kl.ramp) == (800, weight, ramp)
            env = json.loads((file.parent / "env.json").read_bytes())
            assert (env["model"], env["places"][0]["portable"]) == (167, True)


def test_every_student_was_run_as_integers():
    for stage in STAGES.to_numpy().ravel():
        (file,) = RUN.glob(f"stages/*-{stage}/result.json")
        proof = json.loads(file.read_bytes())["integer"]
        assert (proof["agreement"], proof["images"]) == (1, 10_000)
