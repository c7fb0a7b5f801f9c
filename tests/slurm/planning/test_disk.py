"""What a plan says of the disk that its checkpoints take."""

from pathlib import Path

import pytest
import torch

from benchmarks.imagenet_networks import NUMBERS, imagenet
from benchmarks.pairs import cifar_mobilenet, cifar_resnet
from benchmarks.sizes import Size, size_of
from qkd.imports import FACTORIES, resolve
from qkd.records.record import Store
from qkd.spec import Network
from slurm.planning.disk import checkpoint_bytes, disk_of, in_words
from slurm.planning.work import prepare
from tests.slurm.planning.test_matrices import settings
from tests.support import small
from tests.support.launching import launch

NETWORKS = [
    *(imagenet(name).network for name in NUMBERS),
    *(imagenet(name, classes=10).network for name in NUMBERS),
    *(cifar_resnet(depth, width, 1, 7, 28).network for depth in (8, 20) for width in (4, 16)),
    *(cifar_mobilenet(width, 3, 100, 32).network for width in (0.5, 1.0, 1.4)),
]


@pytest.mark.parametrize("network", NETWORKS, ids=lambda one: f"{one.name}, {one.arguments}")
def test_numbers_counted_again_on_the_networks_are_those_that_are_known(network):
    with torch.device("meta"):
        module = resolve(network.factory, FACTORIES)(**network.arguments)
    buffers = [b for name, b in module.named_buffers() if not name.endswith("batches_tracked")]
    assert size_of(network) == Size(
        sum(p.numel() for p in module.parameters()), sum(b.numel() for b in buffers)
    )


@pytest.mark.parametrize(
    ("factory", "arguments"),
    [("mine:net", {"width": 4}), ("qkd.models.imagenet:resnet18", {"groups": 2})],
)
def test_other_networks_are_not_guessed(factory, arguments):
    assert size_of(Network(name="net4", factory=factory, arguments=arguments)) is None


def test_a_checkpoint_holds_state_and_momentum_of_what_trains_and_nothing_of_a_frozen_teacher(
    trained: Store,
):
    """Told by what lies in the file: numbers in float32, quantizers and counters aside."""
    for stage in small.stages():
        content = small.loaded(trained.record(stage.history))
        numbers = 0
        for side in filter(None, (content["student"], content["teacher"])):
            known = {n: t for n, t in side["network"].items() if "_quantizer." not in n}
            numbers += sum(t.numel() for n, t in known.items() if "batches_tracked" not in n)
            momenta = side["optimiser"]["state"].values()
            numbers += sum(
                one["momentum_buffer"].numel() for one in momenta if one["momentum_buffer"].ndim
            )
        assert checkpoint_bytes(stage) == 4 * numbers, stage.label


def work_of(folder: Path, **variables: str):
    given = {"DATA": str(folder), "RESULTS": str(folder / "results"), "SCALE": "paper"}
    return prepare(settings(**given | variables), unread=True)


def test_imagenets_by_hand(tmp_path):
    """One method: two files of weights, and three stages, of which one trains the teacher too."""
    only = "method=qkd student=resnet18 bits=w2a2 seed=0"
    found = disk_of(work_of(tmp_path, MATRIX="imagenet", ONLY=only))
    student, teacher = 11_689_512, 21_797_672
    starts = 4 * (student + 9_600 + teacher + 17_024)
    alone = 4 * (2 * student + 9_600)
    both = alone + 4 * (2 * teacher + 17_024)
    assert found == (starts + 2 * alone + both, starts, both)


def test_the_committed_networks_take_nothing_and_the_plan_says_so_in_a_line(tmp_path):
    work = work_of(tmp_path, MATRIX="ablation", SCALE="laptop")
    assert disk_of(work).starts == 0
    assert in_words(work).startswith("disk: up to ")
    assert in_words(work).endswith("of which 0 KiB stay after make clean-checkpoints")


MINE = """
from msgspec.structs import replace
from benchmarks import ablation


def matrix(scale, seeds):
    base = ablation.matrix(scale, seeds)
    grid = base.grids[0]
    own = replace(grid.pair.student, name="own", arguments={**grid.pair.student.arguments},
                  factory="mine:net")
    start = replace(grid.pair.student_start, student=replace(
        grid.pair.student_start.student, network=own))
    pair = replace(grid.pair, student=own, student_start=start)
    return replace(base, name="mine", grids=(replace(grid, pair=pair),))
"""


def test_of_a_users_own_network_it_says_that_nothing_is_known(tmp_path):
    (tmp_path / "mine.py").write_text(MINE)
    code, output = launch("plan", tmp_path / "results", tmp_path, MATRIX=str(tmp_path / "mine.py"))
    assert code == 0, output
    assert "disk: unknown, as the size of own is known only when it is built" in output
