"""From MATRIX=... to a matrix, and what was planned beside the records."""

from pathlib import Path

import msgspec
import pytest

from benchmarks.ablation import matrix
from benchmarks.matrix import Matrix
from benchmarks.settings import Settings, SettingsError, from_environment
from qkd.data.images import DataError
from qkd.spec.value import decode
from slurm.planning.matrices import build, remember


def settings(**variables: str) -> Settings:
    return from_environment({f"QKD_{name}": value for name, value in variables.items()})


def test_remembered_seeds_add_up_where_nothing_but_the_seed_differs(tmp_path: Path) -> None:
    remember(matrix("smoke", (0, 1)), tmp_path)
    both = remember(matrix("smoke", (2,)), tmp_path)
    (file,) = (tmp_path / "matrices").iterdir()
    assert file.name == "ablation-smoke.json"
    assert both.grids[0].seeds == (0, 1, 2)
    assert decode(file.read_bytes(), Matrix) == both


def test_a_changed_matrix_replaces_what_was_remembered(tmp_path: Path) -> None:
    first = matrix("smoke", (0, 1))
    grid = msgspec.structs.replace(first.grids[0], methods=first.grids[0].methods[:2], seeds=(5,))
    remember(first, tmp_path)
    changed = remember(msgspec.structs.replace(first, grids=(grid,)), tmp_path)
    assert changed.grids[0].seeds == (5,)
    assert len(changed.grids[0].methods) == 2


def test_a_damaged_memory_is_written_anew(tmp_path: Path) -> None:
    remember(matrix("smoke", (0,)), tmp_path)
    (file,) = (tmp_path / "matrices").iterdir()
    file.write_text('{"name": ')
    assert remember(matrix("smoke", (1,)), tmp_path).grids[0].seeds == (1,)
    assert decode(file.read_bytes(), Matrix).grids[0].seeds == (1,)


SEEDED = """
from benchmarks import ablation

DEFAULT_SEEDS = {"smoke": [7, 5]}

def matrix(scale, seeds):
    return ablation.matrix(scale, seeds)
"""


def test_a_matrix_may_have_seeds_of_its_own_which_seeds_given_override(user_file) -> None:
    def seeds(**variables: str) -> tuple[int, ...]:
        return build(settings(SCALE="smoke", **variables)).grids[0].seeds

    file = user_file("seeded_matrix.py", SEEDED)
    assert seeds() == (0, 1)
    assert seeds(MATRIX=str(file)) == (7, 5)
    assert seeds(MATRIX=str(file), SEEDS="3") == (3,)
    with pytest.raises(
        SettingsError, match=r"seeded_matrix\.py has no scale laptop: take SCALE= of smoke"
    ):
        build(settings(MATRIX=str(file), SCALE="laptop"))


UNCOUNTED = """
import torch
from benchmarks.matrix import Grid, Label, Matrix
from benchmarks.pairs import Priced, pretrained_pair
from qkd.data.readers.synthetic import read as synthetic
from qkd.phases import qkd
from qkd.spec import Bits, Data, Network, Recipe

def net(width):
    return torch.nn.Sequential(
        torch.nn.Conv2d(1, width, 3), torch.nn.Flatten(), torch.nn.Linear(width * 196, 10)
    )

def read(folder):
    return synthetic(folder)

def network(width):
    return Priced(Network(name=f"n{width}", factory="NAME:net", arguments={"width": width}))

def matrix(scale, seeds):
    data = Data(name="unread", reader="NAME:read", train_images=640, classes=10, mean=(0.5,),
                std=(0.3,))
    pair = pretrained_pair(network(2), network(3), data, steps=20, log_every=20, batch=32)
    grid = Grid(pair=pair, bits=(Bits(weight=2, activation=2),), methods=(qkd(),), seeds=seeds,
                recipe=Recipe(horizon=20, log_every=20, batch=32))
    return Matrix(name="mine", scale=scale, label=Label(title="Mine"), grids=(grid,))
"""


def test_a_users_data_is_read_and_his_networks_are_counted(tmp_path: Path) -> None:
    file = tmp_path / "uncounted_matrix.py"
    file.write_text(UNCOUNTED.replace("NAME", file.stem))
    built = build(settings(MATRIX=str(file), SCALE="smoke", DATA=str(tmp_path)))
    pair = built.grids[0].pair
    # 14 x 14 outputs of 9 products for each channel, then 196 inputs a channel for each of 10.
    assert pair.student_macs == 2 * 14 * 14 * 9 + 2 * 196 * 10
    assert pair.teacher_macs == 3 * 14 * 14 * 9 + 3 * 196 * 10
    digests = {pair.data.digest, pair.student_start.data.digest, pair.teacher_start.data.digest}
    assert len(digests) == 1
    assert len(digests.pop()) == 64


def test_a_plan_does_not_count_networks_on_images_that_are_not_there(tmp_path: Path) -> None:
    file = tmp_path / "unread_matrix.py"
    file.write_text(UNCOUNTED.replace("NAME", file.stem).replace("synthetic(folder)", "1 / 0"))
    given = settings(MATRIX=str(file), SCALE="smoke", DATA=str(tmp_path))
    with pytest.raises(DataError, match="ZeroDivisionError"):
        build(given, unread=True)


def test_a_file_without_a_matrix_is_a_clear_error(tmp_path: Path) -> None:
    file = tmp_path / "empty_matrix.py"
    file.write_text("")
    with pytest.raises(SettingsError, match="no function matrix"):
        build(settings(MATRIX=str(file)))


def test_a_file_that_would_hide_another_module_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "json.py"
    file.write_text("")
    with pytest.raises(ValueError, match="rename the file"):
        build(settings(MATRIX=str(file)))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("from qkd.spec import Bits\nBits(weigth=4)\n", "line 2: TypeError: .*weigth"),
        ("def matrix(scale, seeds):\n    return 1 / 0\n", "line 2: ZeroDivisionError"),
        ("def matrix(scale, seeds):\n    return 1\n", "returned no Matrix"),
    ],
)
def test_a_mistake_in_a_users_file_is_named_with_its_line(user_file, text: str, says: str) -> None:
    file = user_file("mistaken_matrix.py", text)
    with pytest.raises(SettingsError, match=says):
        build(settings(MATRIX=str(file)))
