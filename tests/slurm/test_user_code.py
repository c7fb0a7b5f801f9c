"""A user edits code that stages were trained with: it is said, and nothing old passes for new."""

import re
import textwrap
from pathlib import Path

import pytest

from qkd.records.code import code_of
from qkd.records.record import Record
from tests.support.launching import launch, launch_apart, report, reported

MINE = textwrap.dedent(
    """
    import torch

    from benchmarks.matrix import Grid, Label, Matrix
    from benchmarks.pairs import Priced, pretrained_pair
    from qkd.data.standard import SYNTHETIC
    from qkd.phases import SELF_STUDY
    from qkd.spec import Bits, Method, Network, Recipe, Share

    from parts_of_mine import activation


    def net(width):
        return torch.nn.Sequential(
            torch.nn.Conv2d(1, width, 3, stride=2), activation(),
            torch.nn.Conv2d(width, width, 3), activation(), torch.nn.Flatten(),
            torch.nn.Linear(25 * width, 10),
        )


    def matrix(scale, seeds):
        student, teacher = (
            Priced(Network(name="NAME", factory="mine:net", arguments={"width": width}))
            for width in (2, 3)
        )
        pair = pretrained_pair(student, teacher, SYNTHETIC, steps=4, log_every=4, batch=16)
        study = Method(name="study", shares=(Share(phase=SELF_STUDY, epochs=200),))
        grid = Grid(
            pair=pair,
            bits=(Bits(weight=4, activation=4),),
            methods=(study,),
            seeds=seeds,
            recipe=Recipe(horizon=20, log_every=20, batch=16),
        )
        return Matrix(name="mine", scale=scale, label=Label(title="Mine"), grids=(grid,))
    """
)
PARTS = "import torch\n\n\ndef activation():\n    return torch.nn.ReLU()\n"


def project(folder: Path, text: str = MINE, parts: str = PARTS) -> Path:
    """A folder with a matrix file and a module beside it."""
    folder.mkdir(exist_ok=True)
    (folder / "parts_of_mine.py").write_text(parts)
    file = folder / "mine.py"
    file.write_text(text)
    return file


def contents(results: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(results)): file.read_bytes()
        for file in sorted((results / "stages").rglob("*"))
        if file.is_file()
    }


@pytest.mark.slow
def test_an_edit_is_said_by_every_command_and_trains_nothing_over(
    tmp_path: Path, data: Path
) -> None:
    results, page = tmp_path / "results", tmp_path / "index.html"
    file = project(tmp_path / "a")
    variables = {"MATRIX": str(file), "SEEDS": "0", "JOBS": "1"}

    def said(command: str, **more: str) -> tuple[int, str]:
        return launch_apart(command, results, data, **{**variables, **more})

    code, output = said("run")
    assert code == 0, output
    before = contents(results)

    # An edit of the module beside the matrix file, with another Network.name, which is no id's.
    project(tmp_path / "a", MINE.replace("NAME", "better"), PARTS.replace("ReLU", "ReLU6"))
    code, output = said("run")
    assert code == 2, output
    (word,) = re.findall(r"ACCEPT=([0-9a-f]{12})", output)
    assert "parts_of_mine.py is not the code that 2 stages used" in output
    assert not [w for w in ("better-w4a4", "are done", "Traceback") if w in output]
    output = said("status")[1]
    assert "2 changed" in output, output
    assert f"ACCEPT={word}" in output
    assert f"ACCEPT={word}" in said("plan")[1]
    told = report(results, page)
    assert "mine at scale smoke: parts_of_mine.py is not the code that it was trained" in told
    (row,) = reported(page, "mine")
    assert (row["status"], row["top1"]) == ("changed", "")
    name = next(iter((results / "stages").glob("*-study20-*"))).name
    code, output = said("export", STAGE=name)
    assert code == 2, output
    assert output.count("\n") == 1, output
    assert "parts_of_mine.py is not the code" in output
    assert not (results / "export").exists()
    assert contents(results) == before

    code, output = said("run", ACCEPT="0123456789ab")
    assert code == 2
    assert "ACCEPT=0123456789ab is no code that these stages ask about" in output
    assert contents(results) == before
    for _ in range(2):  # the same command goes on
        code, output = said("run", ACCEPT=word)
        assert code == 0, output
        assert "all 2 stages are done" in output
    report(results, page)
    (row,) = reported(page, "mine")
    assert row["status"] == "done"
    changed = {n for n, content in contents(results).items() if before.get(n) != content}
    assert {Path(name).name for name in changed} == {"code.json"}

    # What is meant as another network gets another name, and is trained beside the old one.
    text = MINE.replace("def net", "def wide").replace("mine:net", "mine:wide")
    project(tmp_path / "a", text.replace("(width, width, 3)", "(width, width, 3, bias=False)"))
    code, output = said("run")
    assert code == 0, output
    assert "3 done" in output or "2 done" in output
    assert contents(results).items() >= {
        (name, content) for name, content in before.items() if not name.endswith("code.json")
    }


def test_another_project_with_a_file_of_the_same_name_gets_none_of_its_results(
    tmp_path: Path, data: Path
) -> None:
    results = tmp_path / "results"
    file = project(tmp_path / "a")
    code, output = launch("run", results, data, MATRIX=str(file), SEEDS="0", JOBS="1")
    assert code == 0, output
    other = project(tmp_path / "b", MINE.replace("stride=2", "stride=2, bias=False"))
    before = contents(results)
    # Seed 1 shares no stage of its own with seed 0, but the report would show both as one.
    for seeds in ("0", "1"):
        code, output = launch("run", results, data, MATRIX=str(other), SEEDS=seeds, JOBS="1")
        assert code == 2, output
        assert "mine.py is not the code that 2 stages used" in output
    assert contents(results) == before
    assert "2 done" in launch("status", results, data, MATRIX=str(file), SEEDS="0")[1]


@pytest.mark.slow
def test_a_failed_stage_is_mended_and_tried_again_without_a_word(
    tmp_path: Path, data: Path
) -> None:
    results = tmp_path / "results"
    broken = "import torch\n\n\nclass activation(torch.nn.ReLU):\n    def forward(self, x):\n"
    broken += (
        "        if self.training and x.requires_grad:\n            raise ArithmeticError('oh')\n"
    )
    broken += "        return super().forward(x)\n"
    file = project(tmp_path / "a", parts=broken)
    variables = {"MATRIX": str(file), "SEEDS": "0", "JOBS": "1"}
    code, output = launch("run", results, data, **variables)
    assert code != 0, output
    project(tmp_path / "a")
    launch("retry", results, data, **variables)
    code, output = launch("run", results, data, **variables)
    assert code == 0, output
    (record,) = (Record(path) for path in (results / "stages").glob("*-study20-*"))
    code_now = code_of(record)
    assert code_now is not None
    assert [one.name for one in code_now.files] == ["mine.py", "parts_of_mine.py"]
