"""Launches in which something is wrong: it is named, and costs no more than it must."""

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from benchmarks.ablation import matrix
from benchmarks.plan import plan
from qkd.records.record import Store
from tests.support.launching import ROOT, environment, launch, report, reported

MATRIX = textwrap.dedent(
    """
    import os
    import signal

    import torch

    from benchmarks.matrix import Grid, Label, Matrix
    from benchmarks.pairs import Priced, pretrained_pair
    from qkd.data.standard import SYNTHETIC
    from qkd.phases import CROSS_ENTROPY, SELF_STUDY, qkd
    from qkd.spec import Bits, Method, Network, Phase, Recipe, Share, Term


    def net(width):
        return torch.nn.Sequential(
            torch.nn.Conv2d(1, width, 3, stride=2), torch.nn.ReLU(),
            torch.nn.Conv2d(width, width, 1), torch.nn.Flatten(), torch.nn.Linear(49 * width, 10),
        )


    def infinite(logits, labels):
        return (logits * float("inf")).sum()


    def deadly(logits, labels):
        os.kill(os.getpid(), signal.SIGKILL)


    def method(name, loss):
        phase = Phase(name=name, student=(Term(loss=f"MODULE:{loss}"),))
        shares = (Share(phase=phase, epochs=100), Share(phase=SELF_STUDY, epochs=100))
        return Method(name=name, shares=shares)


    def matrix(scale, seeds):
        student, teacher = (
            Priced(Network(name=f"net{w}", factory="MODULE:net", arguments={"width": w}))
            for w in (4, 8)
        )
        pair = pretrained_pair(student, teacher, SYNTHETIC, steps=20, log_every=20, batch=32)
        grid = Grid(
            pair=pair,
            bits=(Bits(weight=4, activation=4),),
            methods=(qkd(), method("broken", "infinite"), method("deadly", "deadly")),
            seeds=seeds,
            recipe=Recipe(horizon=20, log_every=5, batch=32),
        )
        return Matrix(name="mine", scale=scale, label=Label(title="Mine"), grids=(grid,))
    """
)


def test_failures_stop_what_depends_on_them_and_nothing_else(tmp_path: Path, data: Path) -> None:
    file = tmp_path / "failing_matrix.py"
    file.write_text(MATRIX.replace("MODULE", file.stem))
    results, page = tmp_path / "results", tmp_path / "index.html"
    variables = {"MATRIX": str(file), "SEEDS": "0", "JOBS": "2"}
    code, output = launch("run", results, data, **variables)
    assert code == 1, output
    assert "the loss term student_infinite became" in output
    assert "killed by SIGKILL" in output
    report(results, page)
    rows = reported(page, "mine")
    assert {row["method"]: row["status"] for row in rows} == {
        "qkd": "done",
        "broken": "blocked",
        "deadly": "blocked",
    }
    code, output = launch("status", results, data, **variables)
    assert (code, "2 failed" in output, "2 blocked" in output) == (0, True, True), output
    code, output = launch("retry", results, data, **variables)
    assert (code, "2 failures cleared" in output) == (0, True), output
    code, output = launch("status", results, data, **variables)
    assert "4 missing" in output, output


def test_a_record_that_cannot_be_begun_fails_its_stage_and_nothing_else(
    tmp_path: Path, data: Path
) -> None:
    stages = tmp_path / "stages"
    whole = plan(list(matrix("smoke", (0,)).cells()))
    student, _ = (p for p in whole.stages.values() if not p.parents)
    stages.mkdir()
    Store(stages).record(student.stage.history).path.write_text("a file in the way")
    code, output = launch("run", tmp_path, data, SEEDS="0", ONLY="method=qat")
    assert code == 1, output
    assert "1 failed, 2 blocked" in output
    assert "Not a directory" in output or "File exists" in output
    assert "Traceback" not in output


def test_parts_that_do_not_divide_a_batch_are_refused_before_anything(
    tmp_path: Path, data: Path
) -> None:
    code, output = launch("run", tmp_path, data, MICROBATCHES="7")
    assert code == 2
    assert "MICROBATCHES=7 does not divide a batch of " in output
    assert list(tmp_path.iterdir()) == []


def test_a_title_is_no_markup_and_no_escape(tmp_path: Path, data: Path) -> None:
    file = tmp_path / "titled_matrix.py"
    text = MATRIX.replace("MODULE", file.stem)
    file.write_text(text.replace('title="Mine"', 'title="a [/b] \\x1b[2J"'))
    code, output = launch("plan", tmp_path, data, MATRIX=str(file))
    assert code == 0, output
    assert "a [/b]" in output
    assert "\x1b[2J" not in output


@pytest.mark.parametrize(
    ("network", "says"),
    [
        ("torch.nn.Conv2d(1, width, 3, stride=2)", "mat1 and mat2"),
        ("torch.nn.Flatten()", "to conv2d, but got input of size"),
    ],
)
def test_a_network_that_cannot_run_is_found_before_anything_is_trained(
    tmp_path: Path, data: Path, network: str, says: str
) -> None:
    file = tmp_path / "broken_network.py"
    text = MATRIX.replace("MODULE", file.stem).replace("49 * width, 10", "50 * width, 10")
    file.write_text(text.replace("torch.nn.Conv2d(1, width, 3, stride=2)", network))
    code, output = launch("run", tmp_path / "results", data, MATRIX=str(file), SEEDS="0")
    assert code == 2, output
    assert re.search(says, output), output
    assert "Traceback" not in output
    assert not list(tmp_path.glob("results/stages/*"))


def test_a_network_that_cannot_be_quantized_is_found_before_anything_is_trained(
    tmp_path: Path, data: Path
) -> None:
    file = tmp_path / "untraceable_network.py"
    text = MATRIX.replace("MODULE", file.stem).replace(
        "    return torch.nn.Sequential(",
        "    class Branches(torch.nn.Sequential):\n"
        "        def forward(self, x):\n"
        "            return super().forward(x if x.sum() > 0 else -x)\n\n"
        "    return Branches(",
    )
    file.write_text(text)
    code, output = launch("run", tmp_path / "results", data, MATRIX=str(file), SEEDS="0")
    assert code == 2, output
    assert "the network net4: Branches cannot be traced" in output
    assert not list(tmp_path.glob("results/stages/*"))


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        ("plan", 0, ""),
        ("status", 0, ""),
        ("run", 130, "stopped, as nothing reads what it prints"),
        ("retry", 130, "stopped, as nothing reads what it prints"),
    ],
)
def test_a_command_whose_output_nobody_reads_is_no_error(
    tmp_path: Path, data: Path, command: str, code: int, said: str
) -> None:
    read, write = os.pipe()
    os.close(read)  # as `| head` does once it has enough
    known = environment(tmp_path, data, SEEDS="0", ONLY="method=qat")
    known.pop("PYTHONUNBUFFERED", None)
    ended = subprocess.run(
        [sys.executable, "-m", "slurm.launch", command],
        cwd=ROOT,
        env=known,
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(write)
    assert (ended.returncode, ended.stderr.partition(";")[0].strip()) == (code, said)
