"""The CIFAR matrix: what runs at which scale, and from where its networks begin."""

import re

import pytest
import torch

from baselines.methods import rivals
from benchmarks import ablation, cifar, mobilenet
from benchmarks.matrix import DEFAULT_SEEDS, select
from benchmarks.pairs import cifar_mobilenet
from benchmarks.plan import passes, plan
from qkd.data.standard import CIFAR10, CIFAR100
from qkd.imports import FACTORIES, QUANTIZERS, READERS, resolve
from qkd.measures.macs import count
from qkd.spec import Weights
from qkd.spec.value import digest, validated
from slurm.planning.matrices import build
from tests.slurm.planning.test_matrices import settings
from tests.support.launching import ROOT, launch, report, reported
from tests.support.trees import pictures, write_tree

PAPER = cifar.matrix("paper", (0,))
CELLS = list(PAPER.cells())
WEIGHTS = Weights(source="file:x.th", sha256="0" * 64)


@pytest.mark.parametrize("scale", ["smoke", "laptop", "paper"])
def test_every_scale_is_a_valid_value_with_a_lab_label(scale):
    matrix = cifar.matrix(scale, cifar.DEFAULT_SEEDS[scale])
    assert validated(matrix) == matrix
    assert all((matrix.label.question, matrix.label.cost, matrix.label.deviations))
    assert set(cifar.DEFAULT_SEEDS) == set(DEFAULT_SEEDS)
    cells = list(matrix.cells())
    assert len({(c.history.digest, c.method.name) for c in cells}) <= len(cells)
    for grid in matrix.grids:
        for method in grid.methods:
            if method.quantizer:
                resolve(method.quantizer, QUANTIZERS)
        for network in (grid.pair.student, grid.pair.teacher):
            resolve(network.factory, FACTORIES)
        resolve(grid.pair.data.reader, READERS)


def test_the_pairs_and_bits_of_the_paper():
    usual = [grid for grid in PAPER.grids if not grid.optional]
    shown = [
        (g.pair.data.name, g.pair.student.name, g.pair.teacher.name, [b.label for b in g.bits])
        for g in usual
    ]
    four = ["W2A2", "W3A3", "W4A4"]
    six = [*four, "W5A5", "W6A6"]
    assert shown == [
        (data, *names)
        for data in ("cifar10", "cifar100")
        for names in (
            ("resnet20", "resnet32", four),
            ("resnet20", "resnet56", four),
            ("mobilenetv2", "resnet56", six),
            ("mobilenetv2-width0.5", "resnet56", six),
        )
    ]
    for grid in usual:
        assert grid.methods == ablation.methods(grid.pair)
        assert grid.pair.student.arguments["classes"] == grid.pair.data.classes


def test_the_lengths_of_the_paper():
    # 200 epochs of the images that are not held out, in batches of 128.
    for data in (CIFAR10, CIFAR100):
        assert data.epoch_steps(128) == cifar.EPOCH == 382
    cell = next(c for c in CELLS if c.method.name == "qkd" and not c.optional)
    assert [part.steps // 382 for part in cell.history.parts] == [30, 100, 70]
    assert cell.history.steps == cell.history.recipe.horizon == 200 * 382
    assert cell.pair.student_start.steps == cell.pair.teacher_start.steps == 200 * 382
    assert cell.history.recipe.batch == 128


def test_the_rivals_run_only_where_they_are_asked_for():
    usual = {cell.method.name for cell in select(CELLS, "")}
    assert usual.isdisjoint(method.name for method in rivals())
    for method in rivals():
        found = select(CELLS, f"method={method.name} dataset=cifar10 student=resnet20 bits=w2a2")
        assert [cell.pair.teacher.name for cell in found] == ["resnet32", "resnet56"]
        recipe = found[0].history.recipe
        fast = method.name.partition("-")[2] in ("lsq", "lsq-plus", "tqt")
        assert recipe.weight_interval_learning_rate == (0.01 if fast else 1e-4)
        assert recipe.activation_interval_learning_rate == recipe.learning_rate == 0.01


def test_equal_networks_are_pre_trained_once():
    starts = [p.stage for p in plan(CELLS).stages.values() if not p.parents]
    assert sorted(s.history.student.network.name for s in starts if s.history.data == CIFAR10) == [
        "mobilenetv2",
        "mobilenetv2-width0.5",
        "resnet20",
        "resnet32",
        "resnet56",
    ]
    assert len(starts) == 10


@pytest.mark.parametrize(
    ("width", "channels", "classes", "size"),
    [(1.0, 3, 10, 32), (0.5, 3, 100, 32), (0.1, 1, 10, 16)],
)
def test_the_cost_of_a_mobilenet_is_the_one_counted_on_it(width, channels, classes, size):
    priced = cifar_mobilenet(width, channels, classes, size)
    assert priced.macs == count(priced.network, (channels, size, size))


@pytest.mark.parametrize(
    ("module", "hours", "told"), [(cifar, 9, "about nine"), (mobilenet, 13, "about thirteen")]
)
def test_a_laptop_night_is_what_its_label_says(module, hours, told):
    cells = list(module.matrix("laptop", module.DEFAULT_SEEDS["laptop"]).cells())
    planned = plan(cells, select(cells, ""))
    label = module.LABELS["laptop"].cost
    assert f"{planned.macs:.2e}".replace("e+", "e") in label
    data = cifar.CIFAR10
    resnet, narrow = cifar.resnet(20, data).macs, cifar.mobilenet(0.5, data).macs
    slower = 2.81 * resnet / narrow  # by a step's seconds, both at 128 images
    own = {digest(cell.pair.student): cell.pair.student_macs for cell in cells}
    macs = 0.0
    for stage in planned.stages.values():
        history = stage.stage.history
        macs += stage.macs
        if history.student.network.name.startswith("mobilenetv2"):
            of_student = (
                passes(history, stage.stage.steps).student * own[digest(history.student.network)]
            )
            macs += (slower - 1) * of_student
    assert 1.42 * macs / 6.4e10 / 2 / 3600 == pytest.approx(hours, abs=0.5)
    assert f"{told} hours on two cores" in label


def test_the_laptop_scale_is_the_small_twin_of_the_papers_figure():
    matrix = cifar.matrix("laptop", (0, 1))
    cells = list(matrix.cells())
    shown = {}
    for cell in select(cells, ""):
        if cell.bits:
            key = cell.pair.data.name, cell.pair.student.name
            shown.setdefault(key, {}).setdefault(cell.bits.label, set()).add(cell.method.name)
    trio = {"qkd", "kd", "qat"}
    assert shown == {
        (data, student): dict.fromkeys(bits, trio)
        for data in ("cifar10", "cifar100")
        for student, bits in (
            ("resnet20", ("W2A2", "W3A3", "W4A4")),
            ("mobilenetv2-width0.5", ("W3A3", "W4A4", "W6A6")),
        )
    }
    assert {cell.method.name for cell in select(cells, "")} - trio == {"fp"}
    # The ablation's other methods are there by their names, and are compared with QKD.
    more = select(cells, "method=ss+tu,fp-kd dataset=cifar100 student=resnet20 bits=w2a2,fp")
    assert {cell.method.name for cell in more} == {"ss+tu", "fp-kd"}
    for cell in cells:
        assert cell.history.steps in (480, 15 * cifar.EPOCH) or cell.optional
    names = {
        place: {m.name for p, g in zip(matrix.places(), matrix.grids, strict=True) if p == place
                for m in g.methods}
        for place in matrix.places()
    }  # fmt: skip
    assert all({"qkd", "ss+tu", "qat-cost", "qkd-lsq"} <= found for found in names.values())


def test_ready_weights_take_the_place_of_a_pre_training():
    matrix = cifar.matrix("laptop", (0,), {"cifar10": {"resnet32": WEIGHTS}})
    pair = matrix.grids[0].pair
    assert pair.teacher_start.student.weights == WEIGHTS
    assert pair.student_start == cifar.matrix("laptop", (0,)).grids[0].pair.student_start
    assert matrix.name == "cifar-ready"
    assert "have seen the held-out images" in matrix.label.deviations[-1]
    # The other data set's network of the same name begins as before.
    whole = cifar.matrix("paper", (0,), {"cifar100": {"resnet56": WEIGHTS}})
    ready = {
        (grid.pair.data.name, grid.pair.teacher.name)
        for grid in whole.grids
        if grid.pair.teacher_start.student.weights
    }
    assert ready == {("cifar100", "resnet56")}


def test_ready_weights_for_no_network_of_the_matrix_are_an_error_that_lists_them():
    with pytest.raises(ValueError, match=r"\('cifar10', 'resnet99'\).*\('cifar10', 'resnet20'\)"):
        cifar.matrix("laptop", (0,), {"cifar10": {"resnet99": WEIGHTS}})


def test_the_example_with_ready_weights_builds_as_it_stands(tmp_path):
    text = (ROOT / "benchmarks" / "README.md").read_text()
    examples = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (example,) = (one for one in examples if "def ready(" in one)
    file = tmp_path / "ready.py"
    file.write_text(example)
    for name in re.findall(r'"(\S+\.th)"', example):
        torch.save({"state_dict": {}}, tmp_path / name)
    built = build(settings(MATRIX=str(file), SCALE="laptop", DATA=str(tmp_path)))
    pair = built.grids[0].pair
    for start in (pair.student_start, pair.teacher_start):
        assert len(start.student.weights.sha256) == 64


@pytest.mark.slow
def test_from_launch_to_report_on_synthetic_images(tmp_path, data):
    results, page = tmp_path / "results", tmp_path / "index.html"
    only = {"MATRIX": "cifar", "SEEDS": "0", "ONLY": "method=fp,kd,kd-lsq"}
    code, output = launch("run", results, data, **only)
    assert code == 0, output
    report(results, page)
    rows = reported(page, "cifar")
    done = [(row["student"], row["method"]) for row in rows if row["status"] == "done"]
    assert sorted(done) == [
        (student, method)
        for student in ("mobilenetv2-width0.1", "resnet8-width4")
        for method in ("fp", "kd", "kd-lsq")
    ]
    # Of the rivals the report shows those alone that were asked for.
    assert {row["method"] for row in rows} & {m.name for m in rivals()} == {"kd-lsq"}


@pytest.mark.slow
def test_a_folder_of_ones_own_images_is_found_by_a_launch(tmp_path):
    labels = [number % 2 for number in range(96)]
    parts = {
        part: (pictures(seed, 96, 8, 8, 3) // 2, labels)
        for seed, part in enumerate(("train", "test"))
    }
    for images, _ in parts.values():
        images[1::2] += 120
    folder = write_tree(tmp_path / "mine", parts, ["dark", "light"])
    file = tmp_path / "own.py"
    file.write_text(OWN)
    results = tmp_path / "results"
    code, output = launch("run", results, folder, MATRIX=str(file), SEEDS="0")
    assert code == 0, output
    (folder / "test" / "light" / "00001.png").write_bytes(b"no image")
    (folder / "cache").rename(folder / ".away")
    code, output = launch("run", tmp_path / "again", folder, MATRIX=str(file), SEEDS="0")
    assert code == 2
    assert "00001.png cannot be read as an image" in output
    assert not (tmp_path / "again").exists()


OWN = """
from benchmarks.matrix import Grid, Label, Matrix
from benchmarks.pairs import cifar_resnet, pretrained_pair
from qkd.phases import qkd
from qkd.spec import Bits, Data, Recipe

def matrix(scale, seeds):
    data = Data(name="own", reader="qkd.data.folder:read", train_images=96, classes=2,
                mean=(0.5,) * 3, std=(0.25,) * 3, held_out=16, pad=1)
    networks = (cifar_resnet(8, width, channels=3, classes=2, size=8) for width in (4, 6))
    pair = pretrained_pair(*networks, data, steps=20, log_every=10, batch=16)
    grid = Grid(pair=pair, bits=(Bits(weight=2, activation=2),), methods=(qkd(),), seeds=seeds,
                recipe=Recipe(horizon=20, log_every=10, batch=16))
    return Matrix(name="own", scale=scale, label=Label(title="My images"), grids=(grid,))
"""
