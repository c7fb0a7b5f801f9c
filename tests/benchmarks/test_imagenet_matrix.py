"""The ImageNet matrix: what runs at which scale, what it costs, and that photos reach a report."""

import json
import subprocess
import sys

import pytest

from baselines.methods import rivals
from benchmarks import ablation, imagenet
from benchmarks.imagenet_networks import MACS, WEIGHTS
from benchmarks.matrix import DEFAULT_SEEDS, select
from benchmarks.plan import plan
from benchmarks.settings import SettingsError
from qkd.imports import FACTORIES, READERS, resolve
from qkd.spec.value import validated
from slurm.planning.disk import disk_of
from slurm.planning.hours import Estimate
from slurm.planning.matrices import build
from slurm.planning.work import prepare
from tests.slurm.planning.test_matrices import settings
from tests.support.jpegs import REAL, write_photos
from tests.support.launching import (
    ROOT,
    TIMEOUT,
    environment,
    launch,
    report,
    reported,
    unimportable,
)
from tests.support.slurm_launching import Launcher

SEEDS = imagenet.DEFAULT_SEEDS["paper"]
PAPER = imagenet.matrix("paper", SEEDS)
CELLS = list(PAPER.cells())
USUAL = select(CELLS, "")


def write_few(root):
    """As many made-up photos as the smoke scale takes."""
    return write_photos(root, train=60, val=10, wnids=[f"n{number:02d}" for number in range(10)])


@pytest.mark.parametrize("scale", ["smoke", "headline", "paper"])
def test_all_scales_are_valid_values_with_a_lab_label(scale):
    matrix = imagenet.matrix(scale, imagenet.DEFAULT_SEEDS[scale])
    assert validated(matrix) == matrix
    assert all((matrix.label.question, matrix.label.cost, matrix.label.deviations))
    assert set(imagenet.DEFAULT_SEEDS) == {*DEFAULT_SEEDS, "headline"}
    for grid in matrix.grids:
        for network in (grid.pair.student, grid.pair.teacher):
            resolve(network.factory, FACTORIES)
            assert network.arguments["classes"] == grid.pair.data.classes
        resolve(grid.pair.data.reader, READERS)


def test_there_is_no_laptop_scale_and_the_error_says_what_to_take():
    with pytest.raises(SettingsError, match=r"no laptop scale: .* 48 hours. Take SCALE=headline"):
        imagenet.matrix("laptop", (0,))


def cells_of(methods):
    """By student, teacher and method: at which bits it runs by default."""
    found = {}
    for cell in USUAL:
        if cell.method.name in methods and cell.seed == 0:
            key = cell.pair.student.name, cell.pair.teacher.name, cell.method.name
            found.setdefault(key, []).append(cell.bits.label)
    return found


def test_the_pairs_and_bits_of_the_tables():
    four = ["W2A2", "W3A3", "W4A4"]
    eight = [*four, "W5A5", "W6A6", "W8A8"]
    pairs = {
        ("resnet18", "resnet34"): four,
        ("resnet34", "resnet50"): four,
        ("resnet50", "resnet101"): four,
        ("mobilenet_v2", "resnet50"): eight,
    }
    methods = ("qkd", "qat", "kd")
    assert cells_of(methods) == {
        (*pair, method): bits for pair, bits in pairs.items() for method in methods
    }
    full = [cell.pair.student.name for cell in USUAL if cell.bits is None]
    assert full == ["resnet18", "resnet34", "resnet50", "mobilenet_v2"]


def test_phases_are_taken_out_of_a_standard_and_a_depthwise_network_at_four_bits():
    parts = ("ss+cs", "ss+tu", "cs+tu", "cs")
    pairs = (("resnet18", "resnet34"), ("mobilenet_v2", "resnet50"))
    assert cells_of(parts) == {(*pair, part): ["W4A4"] for pair in pairs for part in parts}
    # They are compared with QKD at those bits, for which their grids must have one place.
    for names in pairs:
        of_pair = {
            place
            for place, grid in zip(PAPER.places(), PAPER.grids, strict=True)
            if (grid.pair.student.name, grid.pair.teacher.name) == names
        }
        assert len(of_pair) == 1


def test_other_cells_run_only_where_they_are_asked_for():
    usual = {cell.method.name for cell in USUAL}
    assert usual == {"qkd", "qat", "kd", "fp", "ss+cs", "ss+tu", "cs+tu", "cs"}
    others = [m.name for m in ablation.methods(PAPER.grids[0].pair) if m.name not in usual]
    for method in (*others, *(rival.name for rival in rivals())):
        found = select(CELLS, f"method={method} student=mobilenet_v2 seed=1")
        assert {cell.method.name for cell in found} == {method}


def test_the_lengths_are_120_epochs_of_the_images_that_are_not_held_out():
    assert (1_281_167 - 10_000) // 256 == imagenet.EPOCH == 4965
    for cell in USUAL:
        if cell.bits is not None:
            assert cell.history.steps == cell.history.recipe.horizon == 120 * 4965
            assert (cell.history.recipe.batch, cell.history.recipe.log_every) == (256, 4965)
    cell = select(CELLS, "method=qkd student=resnet18 bits=w4a4 seed=0")[0]
    assert [part.steps / 4965 for part in cell.history.parts] == [18, 60, 42]


def test_networks_begin_with_published_weights_that_need_no_file():
    for cell in USUAL:
        pair = cell.pair
        for network, start in (
            (pair.student, pair.student_start),
            (pair.teacher, pair.teacher_start),
        ):
            assert start.student.weights == WEIGHTS[network.name]
            assert start.steps == 0
    stages = plan(CELLS, USUAL).stages.values()
    ready = sorted(p.stage.history.student.network.name for p in stages if not p.stage.steps)
    assert ready == ["mobilenet_v2", "resnet101", "resnet18", "resnet34", "resnet50"]


def test_the_cost_on_the_label_is_that_of_the_plan():
    planned = plan(CELLS, USUAL)
    few = plan(CELLS, select(CELLS, "method=qkd,qat,kd student=resnet18 bits=w4a4 seed=0"))
    cost = imagenet.LABELS["paper"].cost
    assert f"{planned.macs:.3g}".replace("e+", "e") in cost
    estimate = Estimate(CELLS)
    shared = estimate.sum(planned.stages.values()).of
    words = [
        f"{round(hours, -2):,.0f} {word}"
        for hours, word in zip(shared, ("hours on one A100", "in TF32", "in bf"), strict=True)
    ]
    assert all(text in " ".join(cost.split()) for text in words), words
    alone = estimate.sum(stage for chain in planned.alone() for stage in chain).of
    assert f"without sharing stages {round(alone[0], -2):,.0f}" in cost
    assert f"seed: {estimate.sum(few.stages.values()).of[0]:.0f}" in cost
    # By hand: a step of self-study is three passes of the student; of co-study also three of the
    # teacher; of tutoring one of the teacher. Plain QAT is self-study, plain KD tutoring, QKD all
    # three; the first 18 epochs of QKD and of plain QAT are one stage.
    student, teacher = MACS["resnet18"], MACS["resnet34"]
    epochs = 120 * 3 * student + 120 * (3 * student + teacher)
    epochs += 60 * 3 * (student + teacher) + 42 * (3 * student + teacher)
    assert few.macs == epochs * 4965 * 256


def test_bfloat16_is_the_same_matrix_with_ids_of_its_own():
    other = imagenet.matrix("paper", SEEDS, precision="bfloat16")
    assert other.name == "imagenet-bfloat16"
    assert "bfloat16" in other.label.deviations[-1]
    assert {grid.recipe.precision for grid in other.grids} == {"bfloat16"}
    assert {grid.recipe.precision for grid in PAPER.grids} == {"float32"}
    keys = [[c.history.digest for c in m.cells() if c.bits] for m in (other, PAPER)]
    assert set(keys[0]).isdisjoint(keys[1])


def digests(folder):
    """The ids of the smoke scale's cells, of the images in a folder."""
    built = build(settings(MATRIX="imagenet", SCALE="smoke", DATA=str(folder)))
    return [cell.history.digest for cell in built.cells()]


def test_ids_hang_on_the_images_and_not_on_where_they_lie(tmp_path):
    tree = write_few(tmp_path / "one" / "imagenet")
    before = digests(tmp_path / "one")
    tree.rename(tmp_path / "two")
    assert digests(tmp_path / "two") == before
    (tmp_path / "two" / "val" / "n00" / "n00_0.JPEG").write_bytes(b"another")
    assert set(digests(tmp_path / "two")).isdisjoint(before)


@pytest.fixture
def without_torch(tmp_path):
    """A folder that, first on the path, makes torch unimportable."""
    return unimportable(tmp_path / "without", "torch", "torchvision")


def planned(without_torch, data, **variables):
    ended = subprocess.run(
        [sys.executable, "-m", "slurm.launch", "plan"],
        cwd=ROOT,
        env=environment(data / "results", data, MATRIX="imagenet", **variables)
        | {"PYTHONPATH": str(without_torch)},
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return " ".join(ended.stdout.split()), " ".join(ended.stderr.split())


def test_a_plan_tells_the_gpu_hours_without_the_images_and_without_torch(without_torch, tmp_path):
    output, said = planned(without_torch, tmp_path / "none", SCALE="paper")
    assert "with sharing │ │ │ │ 12,500 │ 6,177 │ 2,346 │" in output
    assert "disk: up to 37.6 GiB of checkpoints; when all is done 37.0 GiB, of which" in output
    assert "imagenet cannot be read: there is no train/<wnid>/*.JPEG in" in said
    assert "what is done is not" in said
    assert not (tmp_path / "none").exists()


def test_with_the_images_it_says_nothing_of_the_kind(without_torch, tmp_path):
    write_few(tmp_path)
    output, said = planned(without_torch, tmp_path, SCALE="smoke")
    assert "cells: 16; stages: 23, to do: 23" in output
    assert "cannot be read" not in said


def test_a_launch_without_the_images_is_refused(tmp_path):
    code, output = launch("run", tmp_path / "results", tmp_path / "none", MATRIX="imagenet")
    assert code == 2
    assert "name the folder of ImageNet's train and val by DATA=" in " ".join(output.split())
    assert not (tmp_path / "results").exists()


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    """A data folder with the real photos; where they are not at hand, with made-up ones."""
    folder = tmp_path_factory.mktemp("photos")
    if REAL.is_dir():
        (folder / "imagenet").symlink_to(REAL, target_is_directory=True)
    else:
        write_few(folder / "imagenet")
    return folder


def done(page):
    """What a report says is done, but for full precision: student, teacher, method."""
    return [
        (row["student"], row["teacher"], row["method"])
        for row in reported(page, "imagenet")
        if row["status"] == "done" and row["method"] != "fp"
    ]


@pytest.mark.slow
def test_from_photos_to_a_report_on_one_machine(tmp_path, photos):
    results, page = tmp_path / "results", tmp_path / "index.html"
    only = "method=qkd student=mobilenet_v2"
    code, output = launch("run", results, photos, MATRIX="imagenet", ONLY=only)
    assert code == 0, output
    report(results, page)
    assert done(page) == [("mobilenet_v2", "resnet34", "qkd")]
    # What the plan says of its disk is what the run leaves there.
    work = prepare(
        settings(
            MATRIX="imagenet", SCALE="smoke", ONLY=only, DATA=str(photos), RESULTS=str(results)
        )
    )
    left = sum(file.stat().st_size for file in results.rglob("*") if file.is_file())
    assert disk_of(work).every == pytest.approx(left, rel=0.02)
    assert "mobilenet_v2" in page.read_text()


@pytest.mark.slow
@pytest.mark.slurm
def test_from_photos_to_a_report_by_two_ranks_of_a_cluster(slurm, tmp_path, photos):
    launcher = Launcher(slurm, tmp_path, photos, gpus=2)
    launcher.variables |= {"MATRIX": "imagenet", "ONLY": "method=qat student=mobilenet_v2"}
    code, output = launcher.run("run")
    assert code == 0, output
    launcher.until_empty()
    assert done(tmp_path / "report" / "index.html") == [("mobilenet_v2", "resnet34", "qat")]
    files = launcher.results.glob("stages/*/env.json")
    assert {json.loads(file.read_text())["ranks"] for file in files} == {2}
