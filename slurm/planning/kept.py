"""Which frozen teachers' logits are kept in files, and the disk that these take (torch-free)."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from benchmarks.plan import Planned
from benchmarks.settings import Settings
from qkd.records.logits import FOLDER, Source, files_of, source_of, steps_of
from qkd.spec.value import digest
from slurm.planning.estimate import size_in_words
from slurm.planning.statuses import Status
from slurm.planning.work import Work

GIBIBYTE = 2**30
BLOCK = 512  # bytes, of what a file takes on a disk: it may have holes


class Kept(NamedTuple):
    """Digests of the stages whose frozen teacher's logits are kept, the most bytes that their files
    come to, and those of the files that other plans left.

    ``too_large`` counts the files for which there is no room.
    """

    stages: tuple[str, ...] = ()
    size: int = 0
    others: int = 0
    too_large: int = 0


class _Shared(NamedTuple):
    """A source and the stages that take logits from it."""

    source: Source
    stages: list[Planned]

    @property
    def steps(self) -> int:
        """Steps of all stages together."""
        return sum(planned.stage.steps for planned in self.stages)

    @property
    def distinct(self) -> int:
        """Steps that at least one of the stages consists of."""
        count = end = 0
        for steps in sorted((steps_of(p.stage) for p in self.stages), key=lambda one: one.start):
            count += max(0, steps.stop - max(end, steps.start))
            end = max(end, steps.stop)
        return count


def kept(work: Work) -> Kept:
    """Those sources from which some step is taken more than once in the matrix, most shared ones
    first, as far as LOGITS= has room for them beside the files that are there.

    Nothing is kept where steps are compiled, or batches are cut.
    """
    settings = work.settings
    if settings.compile or settings.micro_batches > 1:
        return Kept()
    shared = _shared(work.whole.stages.values())
    wanted = {key for key in map(_key, work.plan.stages.values()) if key in shared}
    others = sum(map(_on_disk, _others(settings.results / FOLDER, wanted)))
    room, size, too_large = settings.logits * GIBIBYTE - others, 0, 0
    stages: list[str] = []
    for key in sorted(wanted, key=lambda one: shared[one].distinct / shared[one].steps):
        source, members = shared[key]
        needed = source.row_bytes * shared[key].distinct
        if size + needed > room:
            too_large += 1
            continue
        size += needed
        stages += [one.digest for one in members if one.digest in work.plan.stages]
    return Kept(tuple(stages), size, others, too_large)


def in_words(work: Work) -> str:
    """What is kept of frozen teachers' logits, and the disk that it takes."""
    found, limit = kept(work), f"LOGITS={work.settings.logits} GiB at most"
    if not work.settings.logits:
        return "frozen teachers' logits: none are kept (LOGITS=0)"
    if not found.stages and not found.too_large:
        return f"frozen teachers' logits: none are kept, as {_why_none(work.settings)}"
    text = (
        f"frozen teachers' logits: up to {size_in_words(found.size)} more of disk, so that "
        f"{len(found.stages)} stages share them ({limit})"
    )
    if found.others:
        text += f"; files of other plans take {size_in_words(found.others)} of it"
    if found.too_large:
        text += f"; no room for {found.too_large} teachers'"
    return text


def _why_none(settings: Settings) -> str:
    if settings.compile:
        return "steps are compiled (COMPILE=1)"
    if settings.micro_batches > 1:
        return f"batches are cut (MICROBATCHES={settings.micro_batches})"
    return "no two stages share any that can be: in float32, and not of photos"


def unneeded(work: Work, found: dict[str, Status]) -> list[Path]:
    """The plan's files of logits that no stage of the matrix takes any more from."""
    needed = {
        _key(planned)
        for planned in work.whole.stages.values()
        if found[planned.digest] not in (Status.DONE, Status.UNPROVEN)
    }
    mine = {key for key in map(_key, work.plan.stages.values()) if key}
    return files_of(work.settings.results / FOLDER, sorted(mine - needed))


def _key(planned: Planned) -> str:
    """The digest of the stage's source; "" where it has none."""
    source = source_of(planned.stage)
    return digest(source) if source else ""


def _shared(stages: Iterable[Planned]) -> dict[str, _Shared]:
    """By their digests the sources from which a step is taken more than once."""
    found: dict[str, _Shared] = {}
    for planned in stages:
        source = source_of(planned.stage)
        if source is not None:
            found.setdefault(digest(source), _Shared(source, [])).stages.append(planned)
    return {key: one for key, one in found.items() if one.steps > one.distinct}


def _others(folder: Path, sources: set[str]) -> Iterator[Path]:
    """The files of other sources than these."""
    if folder.is_dir():
        yield from (one for one in folder.iterdir() if one.name.partition("-")[0] not in sources)


def _on_disk(path: Path) -> int:
    try:
        return path.stat().st_blocks * BLOCK
    except FileNotFoundError:  # removed meanwhile
        return 0
