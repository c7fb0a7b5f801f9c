"""What the records of the laptop ablation say of a launch: how much of it was not training."""

import statistics
from collections.abc import Iterable, Iterator
from pathlib import Path

from benchmarks.matrix import Matrix
from benchmarks.plan import plan
from benchmarks.speed.figures import Figure, judged
from qkd.records.launches import Launch, launches
from qkd.records.record import PRETRAINED, STAGES, Store
from qkd.records.schema import Result
from qkd.spec.value import decode

LAUNCH_GOAL = 1.10
STAGE_GOAL = 0.05
LONG = 60.0


def overheads(results: Path) -> Iterator[Figure]:
    """The newest whole launch of the laptop ablation, of this folder or the committed reference."""
    for place in (results, PRETRAINED.parent / "laptop"):
        try:
            matrix = decode((place / "matrices" / "ablation-laptop.json").read_bytes(), Matrix)
        except (OSError, ValueError):  # nothing was launched here
            continue
        planned = plan(matrix.cells()).stages.values()
        trained = [one.stage.history for one in planned if one.parents]
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
