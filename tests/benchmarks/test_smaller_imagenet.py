"""A step below ImageNet: what its two matrices train, what it costs, and that they run."""

import pytest

from benchmarks import imagenet_100, tiny_imagenet
from benchmarks.plan import plan
from benchmarks.settings import SettingsError
from qkd.data.readers import imagenet as reader
from qkd.imports import FACTORIES, READERS, resolve
from qkd.spec.value import validated
from slurm.planning.hours import Estimate
from slurm.planning.matrices import build
from tests.slurm.planning.test_matrices import settings
from tests.support.launching import launch, report, reported
from tests.support.tiny import write_tiny

SCALED = [
    (module, scale) for module in (imagenet_100, tiny_imagenet) for scale in module.DEFAULT_SEEDS
]
CORES = 2 * 6.4e10  # multiply-accumulates a second, as the labels of laptop scales suppose


@pytest.mark.parametrize(("module", "scale"), SCALED)
def test_all_scales_are_valid_values_with_a_lab_label(module, scale):
    matrix = module.matrix(scale, module.DEFAULT_SEEDS[scale])
    assert validated(matrix) == matrix
    assert all((matrix.label.question, matrix.label.cost, matrix.label.deviations))
    for grid in matrix.grids:
        resolve(grid.pair.data.reader, READERS)
        for network in (grid.pair.student, grid.pair.teacher):
            resolve(network.factory, FACTORIES)
            assert network.arguments["classes"] == grid.pair.data.classes
        assert grid.pair.student_macs
        assert grid.pair.teacher_macs
        # Published weights saw a thousand classes, in full size.
        assert grid.pair.student_start.steps == grid.pair.teacher_start.steps > 0
    assert {cell.method.name for cell in matrix.cells()} - {"fp"} == {"qkd", "qat", "kd"}


@pytest.mark.parametrize(("module", "scale"), [one for one in SCALED if one[1] != "smoke"])
def test_the_cost_on_the_label_is_that_of_the_plan(module, scale):
    cells = list(module.matrix(scale, module.DEFAULT_SEEDS[scale]).cells())
    planned, cost = plan(cells), module.LABELS[scale].cost
    assert f"{planned.macs:.3g}".replace("e+", "e") in cost
    float32, tf32, _ = Estimate(cells).sum(planned.stages.values()).of
    if scale == "laptop":
        assert f"about {planned.macs / CORES / 3600:.0f} hours" in cost
        return
    assert f"{float32:.0f} hours" in cost or f"{float32:.0f} in float32" in cost
    if module is imagenet_100:
        assert f"{tf32:.0f} in TF32" in cost or f"{tf32:.0f} hours on one A100 in TF32" in cost


def test_a_hundred_classes_of_imagenet_are_as_many_images_as_are_taken():
    assert imagenet_100.IMAGENET_100.train_images == reader.HUNDRED * reader.SMALLEST
    assert tiny_imagenet.EPOCH == 765
    assert imagenet_100.EPOCH == 278


def test_imagenet_100_has_no_laptop_scale():
    with pytest.raises(SettingsError, match="has no scale laptop: take SCALE= of smoke, headline"):
        build(settings(MATRIX="imagenet-100", SCALE="laptop"))


@pytest.mark.parametrize("name", ["imagenet-100", "tiny-imagenet"])
def test_a_plan_needs_no_images(name, tmp_path):
    code, output = launch(
        "plan", tmp_path / "results", tmp_path / "none", MATRIX=name, SCALE="paper"
    )
    assert code == 0, output
    assert f"{name} cannot be read" in " ".join(output.split())
    assert "NVIDIA A100" in output


@pytest.mark.slow
def test_from_a_small_tree_to_a_report(tmp_path):
    write_tiny(tmp_path / "data", classes=10, train=60, val=10)
    results, page = tmp_path / "results", tmp_path / "index.html"
    only = "method=qkd student=mobilenet_v2"
    code, output = launch("run", results, tmp_path / "data", MATRIX="tiny-imagenet", ONLY=only)
    assert code == 0, output
    report(results, page)
    done = [row for row in reported(page, "tiny-imagenet") if row["status"] == "done"]
    assert [(row["student"], row["method"]) for row in done] == [("mobilenet_v2", "qkd")]
