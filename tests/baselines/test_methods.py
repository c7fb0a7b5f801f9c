"""The rivals as phases, and the README's example of one more."""

import re
import subprocess
import sys
from pathlib import Path

import msgspec
import torch

from baselines.methods import QUANTIZERS, rivals, sqakd, trainings, with_quantizer
from benchmarks import ablation
from benchmarks.matrix import Grid, Label, Matrix, cell_values, history_of, select
from benchmarks.plan import plan
from qkd.data.batches import TrainingBatches
from qkd.data.cache import load
from qkd.imports import load_file
from qkd.phases import CO_STUDY, RUN_EPOCHS, SELF_STUDY, TUTORING, qkd
from qkd.quantizers.quantize import quantized_layers, set_intervals
from qkd.spec import Learner
from qkd.training.begin import build
from qkd.training.step import Side, interval_floors, optimiser_of, train_step

ROOT = Path(__file__).parents[2]
CPU = torch.device("cpu")


def cells_of(methods, seeds=(0,)):
    base = ablation.matrix("smoke", seeds).grids[0]
    grid = Grid(pair=base.pair, bits=base.bits, methods=methods, seeds=seeds, recipe=base.recipe)
    return list(Matrix(name="m", scale="smoke", label=Label(title="M"), grids=(grid,)).cells())


def test_every_training_comes_with_every_quantizer():
    names = [method.name for method in rivals()]
    assert names == [f"{t}-{q}" for q in QUANTIZERS for t in ("qat", "kd", "qkd")]
    assert all(method.epochs == RUN_EPOCHS for method in rivals())
    phases = [[share.phase for share in method.shares] for method in trainings()]
    assert phases == [[SELF_STUDY], [TUTORING], [SELF_STUDY, CO_STUDY, TUTORING]]


def test_another_quantizer_is_another_history_and_ours_is_as_it_was():
    ours = with_quantizer(qkd(), qkd().quantizer, "ours")
    methods = (qkd(), ours, with_quantizer(qkd(), QUANTIZERS["lsq"], "qkd-lsq"))
    plain, same, other = (cell.history.digest for cell in cells_of(methods))
    assert plain == same != other


def test_the_rivals_trainings_share_their_beginnings():
    cells = cells_of(rivals())
    planned = plan(cells)
    # Two pre-trainings for all; for each quantizer the self-study that QAT and QKD share, the rest
    # of QAT, co-study, tutoring, and KD.
    assert len(planned.stages) == 2 + 5 * len(QUANTIZERS)
    assert planned.macs < planned.unshared_macs
    (picked,) = select(cells, "method=qkd-lsq")
    assert cell_values(picked)["method"] == "qkd-lsq"


def test_the_methods_need_no_torch():
    code = "import sys, baselines.methods; assert 'torch' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_readmes_example_is_planned_and_trains(user_file, runtime):
    readme = (ROOT / "baselines" / "README.md").read_text()
    (example,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    assert len(example.splitlines()) < 40
    # Under another name: the reader may have the file in this very folder.
    example = example.replace("my_rival:", "rival_of_the_readme:")
    module = load_file(user_file("rival_of_the_readme.py", example))
    matrix = module.matrix("smoke", (0,))
    ours, rival = matrix.cells()
    planned = plan(matrix.cells())
    assert [end for _, end in planned.cell_stages] == [ours.history.digest, rival.history.digest]
    assert len(planned.stages) == 2 + 2 * 3

    history = rival.history
    data = load(history.data, Path(runtime.data))
    batches = TrainingBatches(history.data, data.train, 0, history.recipe.batch, CPU)
    network = build(history.student, 0, "weights", CPU)
    set_intervals(network, batches.batch(0)[0], history.student.quantization)
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    student = Side(
        "student", network, optimiser_of(network, history.recipe), floors=interval_floors(network)
    )
    learning = build(history.teacher, 0, "teacher-weights", CPU)
    learner = optimiser_of(learning, history.recipe)
    for step, part in enumerate(history.parts):
        phase = part.phase
        student.terms = phase.student
        own = learner if phase.trains_teacher else None
        teacher = Side("teacher", learning, own, phase.teacher) if phase.needs_teacher else None
        values = train_step(
            student, teacher, *batches.batch(step), recipe=history.recipe, seed=0, step=step
        )
        assert all(value.isfinite() for value in values.values())
    for name, parameter in network.named_parameters():
        assert torch.equal(parameter, before[name]) == name.endswith(".interval"), name
    for _, layer in quantized_layers(network):
        quantizer = layer.weight_quantizer
        assert isinstance(quantizer, module.StraightThrough)
        assert len(quantizer(layer.weight).unique()) <= quantizer.levels


def test_sqakd_learns_from_the_students_own_full_precision_self_and_no_labels():
    grid = msgspec.structs.replace(ablation.matrix("smoke", (0,)).grids[0], methods=(sqakd(),))
    history = history_of(grid, grid.bits[0], sqakd(), seed=0)
    assert history.teacher == Learner(network=history.student.network, start=history.student.start)
    assert history.student.quantization is not None
    (part,) = history.parts
    assert [(term.target, term.weight) for term in part.phase.student] == [("peer", 1.0)]
    assert part.phase.student[0].options == {"temperature": 4.0}
    assert not part.phase.trains_teacher
