"""What the records of the laptop ablation say of a launch: how much of it was not training."""

import statistics
from collections.abc import Iterator
from pathlib import Path

from benchmarks.plan import plan
from benchmarks.settings import from_environment
from benchmarks.speed.figures import Figure, judged
from qkd.records.record import STAGES, Store
from slurm.planning.estimate import REFERENCE
from slurm.planning.launches import Launch, launches, result_of
from slurm.planning.matrices import build

LAUNCH_GOAL = 1.10
STAGE_GOAL = 0.05
LONG = 60.0


def overheads(results: Path) -> Iterator[Figure]:
    """The newest whole launch of the laptop ablation, of this folder or the committed reference."""
    settings = from_environment({"QKD_RESULTS": str(results)})
    matrix_plan = plan(build(settings).cells())
    trained = {key for key, planned in matrix_plan.stages.items() if planned.parents}
    for place in (results, REFERENCE / settings.scale):
        whole = [
            launch
            for launch in launches(place)
            if (launch.matrix, launch.scale) == ("ablation", "laptop")
            and launch.whole
            and launch.stages >= len(trained)
        ]
        if whole:
            yield _of_launch(whole[-1])
            store = Store(place / STAGES)
            found = [result_of(store, matrix_plan, key) for key in trained]
            yield from _of_stages(found)
            return


def _of_launch(launch: Launch) -> Figure:
    work = (launch.training_seconds + launch.proof_seconds) / launch.workers
    ratio = launch.wall_seconds / work
    return judged(
        Figure(
            group="launch", name="wall time, against the stages' compute / workers", ratio=ratio,
            goal=LAUNCH_GOAL,
            note=(
                f"{launch.stages} stages, {launch.workers} workers, {launch.wall_seconds:.0f} s; "
                f"training {launch.training_seconds:.0f} s and integer proofs "
                f"{launch.proof_seconds:.0f} s of one core ({launch.time})"
            ),
        )
    )  # fmt: skip


def _of_stages(results: list[dict[str, object]]) -> Iterator[Figure]:
    """Of stages of a minute or more: what is neither training nor proof, as a share of the whole.

    The proof is a product of the stage, like its weights.
    """
    shares = []
    for result in results:
        wall, training = result.get("wall_seconds"), result.get("seconds")
        integer = result.get("integer")
        proof = integer.get("seconds", 0.0) if isinstance(integer, dict) else 0.0
        if isinstance(wall, float) and isinstance(training, float) and wall >= LONG:
            shares.append((wall - training - float(proof)) / wall)
    if shares:
        low, middle, high = _quartiles(shares)
        yield judged(
            Figure(
                group="launch", name="of a stage of a minute or more: not compute",
                ratio=middle, low=low, high=high, goal=STAGE_GOAL,
                note=f"{len(shares)} stages; loading, evaluation, checkpoints",
            )
        )  # fmt: skip


def _quartiles(values: list[float]) -> list[float]:
    if len(values) == 1:
        return values * 3
    return statistics.quantiles(values, n=4, method="inclusive")
