"""Profiles of clusters: what a job asks for, and mistakes that are named."""

import re
from pathlib import Path

import pytest

from benchmarks import ablation
from benchmarks.plan import plan
from slurm.cluster import profiles as clusters
from slurm.cluster.profiles import Profile, profile, without_effect
from slurm.cluster.submission import Order, Sent, dependency
from slurm.cluster.units import Unit
from slurm.cluster.waves import Wave

STAGES = [p.stage for p in plan(list(ablation.matrix("smoke", (0,)).cells())).stages.values()]


def written(tmp_path: Path, text: str) -> str:
    file = tmp_path / "cluster.toml"
    file.write_text(text)
    return f"{file}:here"


def test_the_example_that_is_there_to_be_copied_is_right_as_it_is_and_with_all_its_keys(
    tmp_path: Path,
) -> None:
    example = clusters.FILE.with_name("cluster.example.toml")
    assert profile(f"{example}:slurm").partition == ""
    assert profile(f"{example}:cpus").gpus == 0
    whole = tmp_path / "whole.toml"
    whole.write_text(re.sub(r"^#(?=[\[a-z])", "", example.read_text(), flags=re.MULTILINE))
    given = profile(f"{whole}:slurm")
    keys = set(Profile.__struct_fields__)
    assert {key for key in keys if getattr(given, key) in ("", (), {})} == set()
    assert without_effect(given, {"imagenet"}) == ["pre-training"]


def test_slurm_needs_no_file_and_takes_the_cluster_s_defaults(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(clusters, "FILE", tmp_path / "none.toml")
    assert profile("slurm") == Profile()
    with pytest.raises(ValueError, match=r"no table \[mine\]; it may be slurm"):
        profile("mine")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[here]\ngpu = 1", "unknown field `gpu`.*The keys are hours, nodes, gpus"),
        ("[here]\nhours = 0", "> 0"),
        ("[here]\nhours = '12:00:00'", "hours"),
        ("[here.stages.imagenet]\nhour = 1", "unknown field `hour`"),
        ("[here.sbatch]\n'--hold; rm' = true", "sbatch"),
        ("[here.sbatch]\njob_name = 'x'", "sbatch.job_name cannot be set: another key"),
        (
            "[here]\nsignal_seconds = 7200\n[here.stages.a]\nhours = 1",
            "must be less than a job's time limit of 1",
        ),
        ("[here", "cannot be read"),
        ("[there]", r"no table \[here\]; it may be slurm, there"),
    ],
)
def test_a_mistake_in_the_file_is_named(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        profile(written(tmp_path, text))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no file"):
        profile(f"{tmp_path}/none.toml:here")


def test_a_stage_asks_for_what_its_data_and_then_its_phase_say(tmp_path: Path) -> None:
    given = profile(
        written(
            tmp_path,
            "[here]\nhours = 9\ngpus = 2\n[here.stages.synthetic]\ngpus = 4\nmemory_gb = 3.5\n"
            "[here.stages.tutoring]\nhours = 0.5\ngpus = 1\n",
        )
    )
    asked = {stage.label: given.resources(stage) for stage in STAGES}
    assert (asked["self-study"].hours, asked["self-study"].gpus) == (9, 4)
    assert (asked["tutoring"].hours, asked["tutoring"].gpus) == (0.5, 1)
    assert {one.memory_gb for one in asked.values()} == {3.5}
    assert (given.for_report.gpus, given.for_report.cpus) == (0, 1)


def test_sbatch_is_told_what_the_profile_says() -> None:
    given = Profile(
        hours=1.5,
        nodes=2,
        gpus=4,
        cpus=3,
        memory_gb=10,
        partition="big",
        account="us",
        setup=("module load it",),
        container="apptainer exec it.sif",
        parallel=5,
        sbatch={"reservation": "a b", "exclusive": True, "requeue": False},
    )
    unit = Unit(("a",), given, ())
    wave = Wave("tutoring", (unit, unit, unit), tied=(0,), after=((1, 2), (2, 0)))
    sent = [
        Sent(Wave("x", (unit,) * 3), "11"),
        Sent(Wave("x", (unit,) * 3), "12"),
        Sent(Wave("x", (unit,)), "13"),
    ]
    waits_for = dependency(wave, sent)
    assert waits_for == "aftercorr:11,afterok:12_2,afterok:13"
    text = Order(wave, given, "name", Path("/jobs/x"), waits_for).text()
    for line in (
        "#SBATCH --time=90",
        "#SBATCH --nodes=2",
        "#SBATCH --gpus-per-node=4",
        "#SBATCH --ntasks-per-node=4",
        "#SBATCH --cpus-per-task=3",
        "#SBATCH --mem=40960MB",
        "#SBATCH --array=0-2%3",
        "#SBATCH --partition=big",
        "#SBATCH --account=us",
        "#SBATCH --reservation='a b'",
        "#SBATCH --exclusive",
        "#SBATCH --kill-on-invalid-dep=yes",
        "#SBATCH --signal=USR2@120",
        f"#SBATCH --dependency={waits_for}",
        "module load it",
    ):
        assert line in text.splitlines(), line
    (command,) = (line for line in text.splitlines() if line.startswith("srun"))
    assert "--cpus-per-task=3 --kill-on-bad-exit=1 sh -c 'trap " in command
    assert """exec "$0" "$@"' apptainer exec it.sif /""" in command
    assert "qos" not in text
    assert "requeue" not in text
