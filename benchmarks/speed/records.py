"""What the records of the laptop ablation say of a launch: how much of it was not training."""

import statistics
from collections.abc import Iterable, Iterator
from pathlib import Path

from benchmarks.matrix import Matrix
from benchmarks.plan import plan
from benchmarks.speed.figures import Figure, judged
from qkd.records.launches import Launch, launches
from qkd.records.record import PRETRAINED, STAGES, Store
from qkd.records.schema import Environment, Result
from qkd.spec import History
from qkd.spec.value import decode

LAUNCH_GOAL = 1.10
STAGE_GOAL = 0.05
LONG = 60.0


REFERENCE = PRETRAINED.parent
# Of the quantized stages of a matrix at laptop scale, those of methods of so many steps (None: of
# all): what wall / training seconds should not exceed.
WALL_GOALS = (
    ("ablation", None, 1.12),
    ("rivals-today", None, 1.12),
    ("lengths", 1600, 1.05),
    ("lengths", 400, 1.15),
)


def overheads(results: Path) -> Iterator[Figure]:
    """The newest whole launch of the laptop ablation, of this folder or the committed reference."""
    for place in (results, REFERENCE / "laptop"):
        trained = _histories(place, "ablation")
        whole = [
            launch
            for launch in launches(place)[0]
            if (launch.matrix, launch.scale) == ("ablation", "laptop")
            and launch.whole
            and launch.stages >= len(trained)
        ]
        if whole:
            yield _of_launch(whole[-1])
            store = Store(place / STAGES)
            yield from _of_stages([store.result(history) for history in trained])
            return


def walls_by_training(results: Path) -> Iterator[Figure]:
    """Of quantized stages, seconds of the clock by seconds of training steps: of this folder, or
    the committed reference."""
    for name, steps, goal in WALL_GOALS:
        for place in (results, REFERENCE / "laptop", REFERENCE / "cifar10"):
            histories = [
                history
                for history in _histories(place, name)
                if history.student.quantization and steps in (None, history.recipe.horizon)
            ]
            figure = _wall(f"{name}, {steps or 'all'} steps", goal, place, histories)
            if figure is not None:
                yield figure
                break


def _histories(place: Path, name: str) -> list[History]:
    """What a matrix at laptop scale trains, its beginnings aside; none where it is not known."""
    try:
        matrix = decode((place / "matrices" / f"{name}-laptop.json").read_bytes(), Matrix)
    except (OSError, ValueError):  # nothing was launched here
        return []
    planned = plan(matrix.cells()).stages.values()
    return [one.stage.history for one in planned if one.parents]


def _wall(name: str, goal: float, place: Path, histories: list[History]) -> Figure | None:
    """None where not every stage is done with both times."""
    store = Store(place / STAGES)
    results = [result for history in histories if (result := store.result(history))]
    if not results or len(results) < len(histories) or not all(one.wall_seconds for one in results):
        return None
    commits = {_commit(store, history) for history in histories}
    return judged(
        Figure(
            group="launch",
            name=f"stages' wall / training seconds: {name}",
            ratio=sum(one.wall_seconds or 0.0 for one in results)
            / sum(one.seconds for one in results),
            goal=goal,
            note=f"{len(results)} quantized stages, trained by commit {', '.join(sorted(commits))}",
        )
    )


def _commit(store: Store, history: History) -> str:
    record = store.record(history)
    try:
        return record.read(record.environment_file, Environment).commit[:12] or "unknown"
    except (OSError, ValueError):
        return "unknown"


def _of_launch(launch: Launch) -> Figure:
    work = (launch.training_seconds + launch.proof_seconds) / launch.workers
    ratio = launch.wall_seconds / work
    return judged(
        Figure(
            group="launch",
            name="wall time, against the stages' compute / workers",
            ratio=ratio,
            goal=LAUNCH_GOAL,
            note=(
                f"{launch.stages} stages, {launch.workers} workers, {launch.wall_seconds:.0f} s; "
                f"training {launch.training_seconds:.0f} s and integer proofs "
                f"{launch.proof_seconds:.0f} s of one core ({launch.time})"
            ),
        )
    )


def _of_stages(results: Iterable[Result | None]) -> Iterator[Figure]:
    """Of stages of a minute or more: what is neither training nor proof, as a share of the whole.

    The proof is a product of the stage, like its weights.
    """
    shares = []
    for result in results:
        if result is not None and result.wall_seconds and result.wall_seconds >= LONG:
            proof = result.integer.seconds if result.integer else 0.0
            shares.append((result.wall_seconds - result.seconds - proof) / result.wall_seconds)
    if shares:
        low, middle, high = _quartiles(shares)
        yield judged(
            Figure(
                group="launch",
                name="of a stage of a minute or more: not compute",
                ratio=middle,
                low=low,
                high=high,
                goal=STAGE_GOAL,
                note=f"{len(shares)} stages; loading, evaluation, checkpoints",
            )
        )


def _quartiles(values: list[float]) -> list[float]:
    if len(values) == 1:
        return values * 3
    return statistics.quantiles(values, n=4, method="inclusive")
