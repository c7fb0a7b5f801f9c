"""python -m benchmarks.speed.gpu: what training on this machine's GPU is and costs, in six minutes.

Does a QKD run at W2A2 repeat its own bits on CUDA, and how far is it from the CPU's? What do
TF32, bfloat16, COMPILE=1 and processes side by side give? The images are synthetic. Without CUDA it
says so in one line and ends well.
"""

import os
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

import msgspec
import torch

from benchmarks import ablation
from benchmarks.plan import plan
from benchmarks.settings import SettingsError, from_environment
from benchmarks.speed.figures import Figure, MachineSpeed, Point, judged
from benchmarks.speed.launching import states
from benchmarks.speed.machine import machine_of
from benchmarks.speed.side_by_side import best_of, side_by_side
from benchmarks.speed.steps import CASES, Case, network_of, quantized, step_of
from benchmarks.speed.telling import Groups, keep, told
from benchmarks.speed.timing import QUIET, first_step, in_turn
from qkd.data.batches import evaluation_batches
from qkd.data.cache import load
from qkd.measures.evaluate import Answers, answers
from qkd.records.files import printable
from qkd.records.record import STAGES, Store
from qkd.spec import NUMERICS, Precision, Stage
from qkd.spec.value import validated
from qkd.train import run_stage
from qkd.training import checkpoint, environment
from qkd.training.begin import build
from qkd.training.runtime import ALLOCATOR, Runtime

SUCCESS, USAGE = 0, 2
SECONDS = 300.0  # after which no further group is begun
STEPS = 200
# Of the answers of plain QAT at W2A2 that two instruction sets train: results/repeatability.
DIFFERING_GOAL = 0.086
TOP1_GOAL = 2.0  # points, of a few hundred synthetic test images
LARGE = {"ResNet-20": 256, "ResNet-18": 64}  # batches that keep a GPU busy
CPU = torch.device("cpu")
Device = Literal["cpu", "cuda"]


def main() -> int:
    """Everything in one run; returns an exit code."""
    if not torch.cuda.is_available():
        print("torch sees no CUDA device: benchmarks.speed.gpu has nothing to measure")
        return SUCCESS
    try:
        settings = from_environment()
    except SettingsError as error:
        print(printable(f"error: {error}"), file=sys.stderr)
        return USAGE
    runtime = Runtime(device="cuda")
    device = environment.set_up(runtime)
    skipped: dict[str, str] = {}
    found = measured(
        {
            "a QKD run at W2A2, twice here and once on the CPU": lambda: repeated("cuda", STEPS),
            "precisions": lambda: precisions(device),
            "processes side by side": lambda: side_by_side(device),
            "COMPILE=1": lambda: compiled(device),
        },
        skipped,
    )
    machine = machine_of(runtime, device)
    machine = msgspec.structs.replace(machine, name=f"{machine.name[:56]}-gpu")
    figures = tuple(one for one in found if isinstance(one, Figure))
    workers = best_of(figures, device)
    speed = MachineSpeed(machine=machine, figures=figures, workers=workers, skipped=skipped)
    keep(validated(speed), settings.results)
    return SUCCESS


def measured(
    groups: Groups, skipped: dict[str, str], seconds: float = SECONDS
) -> list[Figure | Point]:
    """The groups in turn, those that would begin too late left out."""
    began = time.monotonic()
    found: list[Figure | Point] = []
    for what, measure in groups.items():
        if time.monotonic() - began > seconds:
            skipped[what] = f"{seconds:.0f} s were over"
        else:
            found += told(what, measure, skipped)
    return found


def stages(steps: int) -> list[Stage]:
    """QKD at W2A2 on synthetic images, its pre-trainings first."""
    matrix = ablation.matrix("smoke", (0,))
    (grid,) = matrix.grids
    recipe = msgspec.structs.replace(grid.recipe, horizon=steps, log_every=steps)
    methods = tuple(method for method in grid.methods if method.name == "qkd")
    grid = msgspec.structs.replace(grid, recipe=recipe, methods=methods)
    cells = msgspec.structs.replace(matrix, grids=(grid,), numerics=NUMERICS).cells()
    return [planned.stage for planned in plan(cells).stages.values()]


def repeated(device: Device, steps: int) -> Iterator[Figure]:
    """One run twice on the device, in equal bits; and once on the CPU, in what two processors
    differ by. Each begins with networks that the CPU has trained."""
    whole = stages(steps)
    with tempfile.TemporaryDirectory(prefix="gpu-") as place:
        folders = [Path(place) / name for name in ("first", "second", "cpu")]
        runs: tuple[Device, ...] = (device, device, "cpu")
        for folder, where in zip(folders, runs, strict=True):
            _trained(whole, folder, where, Path(place) / "data")
        first, second = (states(folder) for folder in folders[:2])
        equal = sum(first[digest] == second.get(digest) for digest in first)
        yield judged(
            Figure(
                group="repeatability",
                name=f"QKD, W2A2, {steps} steps: stages of equal bits when run again",
                ratio=equal / len(first),
                goal=1.0,
                better="higher",
                note=f"{equal} of {len(first)} stages",
            )
        )
        yield from _apart(*(_answers(whole[-1], folders[n], Path(place) / "data") for n in (0, 2)))


def _trained(whole: list[Stage], folder: Path, where: Device, data: Path) -> None:
    store = Store(folder / STAGES)
    store.root.mkdir(parents=True)
    for stage in whole:
        on_cpu = stage.history.student.start is None
        device: Device = "cpu" if on_cpu else where
        run_stage(stage, store, Runtime(data=str(data), device=device))


def _answers(stage: Stage, folder: Path, data: Path) -> Answers:
    """Those of the student that a stage left, by the CPU."""
    history = stage.history
    record = Store(folder / STAGES).record(history)
    network = build(history.student, history.seed, "weights", CPU)
    content = checkpoint.load(record.checkpoint_file, history.digest)
    network.load_state_dict(content["student"]["network"])
    test = load(history.data, data).test
    return answers(network, evaluation_batches(test, history.data, CPU))


def _apart(one: Answers, other: Answers) -> Iterator[Figure]:
    """Two students' answers beside each other."""
    tops = [found.accuracy.top1 for found in (one, other)]
    differing = float((one.predictions != other.predictions).double().mean())
    words = f"top-1 {tops[0]:.1f} %, on the CPU {tops[1]:.1f} %; {len(one.predictions)} images"
    yield judged(
        Figure(
            group="repeatability",
            name="share of answers that differ from the CPU's run",
            ratio=differing,
            goal=DIFFERING_GOAL,
            note=words,
        )
    )
    yield judged(
        Figure(
            group="repeatability",
            name="top-1 beside the CPU's run, points",
            ratio=abs(tops[0] - tops[1]),
            goal=TOP1_GOAL,
            note=words,
        )
    )


def _cases() -> Iterable[Case]:
    for case in CASES:
        if case.name in LARGE:
            yield case._replace(shape=(LARGE[case.name], *case.shape[1:]))


def precisions(device: torch.device) -> Iterator[Figure]:
    """A quantized step against the float one, and in lower precisions against itself."""
    for case in _cases():
        base = step_of(network_of(case, device), case, device)
        other = step_of(quantized(case, device), case, device)
        batch = f"{case.name}, batch {case.shape[0]}"
        yield in_turn(base, other).figure("precision", f"{batch}, float32, against float")
        for precision in _LOWER:
            lower = step_of(quantized(case, device), case, device)
            lower.student.precision = precision
            times = in_turn(other, lower)
            yield times.figure("precision", f"{batch}, {precision}, against float32")


_LOWER: tuple[Precision, ...] = ("tf32", "bfloat16")


def compiled(device: torch.device) -> Iterator[Figure]:
    """COMPILE=1 against the eager step, both quantized."""
    for case in _cases():
        base = step_of(quantized(case, device), case, device)
        other = step_of(quantized(case, device), case, device)
        other.student.compile()
        note = first_step(other)
        name = f"{case.name}, batch {case.shape[0]}, against the eager quantized step"
        yield in_turn(base, other).figure("compiled step", name, note=note)


if __name__ == "__main__":
    if not ALLOCATOR.keys() <= os.environ.keys():  # read when a process starts, as workers have it
        command = [sys.executable, "-m", "benchmarks.speed.gpu"]
        os.execve(sys.executable, command, {**ALLOCATOR, **QUIET, **os.environ})  # noqa: S606
    sys.exit(main())
