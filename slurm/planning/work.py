"""What a command is about: a matrix, its plan, its records."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from benchmarks.matrix import Matrix, select
from benchmarks.plan import Plan, Planned, plan
from benchmarks.settings import Settings, SettingsError
from qkd.records.record import Record, Store, store_of
from qkd.records.schema import Failure
from qkd.training.runtime import Runtime
from slurm.planning.arithmetic import arithmetic
from slurm.planning.images import require_fit
from slurm.planning.matrices import build, is_file


class Work(NamedTuple):
    """A matrix with the records, and its plan: the whole one, and that of the chosen cells."""

    settings: Settings
    matrix: Matrix
    whole: Plan
    plan: Plan
    store: Store

    def record(self, digest: str) -> Record:
        """The record of a planned stage: where it is, or where it will be."""
        return self.store.record(self.whole.stages[digest].stage.history)


def prepare(settings: Settings, unread: bool = False) -> Work:
    """What the settings ask for; ``unread`` is that of `slurm.planning.matrices.build`.

    Raises ValueError for settings or a matrix that cannot be.
    """
    matrix = build(settings, unread)
    cells = list(matrix.cells())
    whole = plan(cells)
    chosen = whole.of(select(cells, settings.only))
    for batch in sorted({one.stage.history.recipe.batch for one in chosen.stages.values()}):
        if batch % settings.micro_batches:
            raise SettingsError(
                f"MICROBATCHES={settings.micro_batches} does not divide a batch of {batch} images: "
                "take a number that does"
            )
    arithmetic(settings)
    return Work(settings, matrix, whole, chosen, store_of(settings.results))


def read_data(work: Work) -> None:
    """Reads every data set that is needed, so that nothing is begun where one is not there, or is
    not what the matrix says.

    Raises ValueError (DataError where it cannot be read).
    """
    from qkd.data.cache import load  # numpy, which most commands do not need

    histories = [one.stage.history for one in work.plan.stages.values()]
    for data in {cell.pair.data.name: cell.pair.data for cell, _ in work.plan.cell_stages}.values():
        batches = [one.recipe.batch for one in histories if one.data == data and one.parts]
        require_fit(data, load(data, work.settings.data), batches)


def runtime_of(
    settings: Settings, stages: Iterable[Planned], kept_logits: Iterable[str] = ()
) -> Runtime:
    """How these stages are to be trained, wherever that is: the paths are absolute.

    ``kept_logits``: the digests of all stages whose frozen teacher's logits are kept.
    """
    stages = list(stages)
    keeping = set(kept_logits)
    matrix_file = str(Path(settings.matrix).resolve()) if is_file(settings.matrix) else ""
    return Runtime(
        data=str(settings.data.resolve()),
        threads=settings.threads,
        compile=settings.compile,
        lean=settings.lean,
        portable=arithmetic(settings).portable,
        loaders=settings.loaders,
        micro_batches=settings.micro_batches,
        matrix_file=matrix_file,
        unproven=tuple(planned.digest for planned in stages if not planned.is_end),
        kept_logits=tuple(planned.digest for planned in stages if planned.digest in keeping),
    )


def reason_of(record: Record) -> str:
    """Why a stage failed, as its record says; an unreadable one says so."""
    try:
        return record.read(record.failed_file, Failure).message
    except ValueError as error:
        return str(error) if record.failed_file.exists() else ""
