"""Every network of a plan built and tried before anything is trained, its data looked at."""

from collections.abc import Iterable

from benchmarks.plan import Planned
from qkd.records.files import printable
from qkd.spec import History, Learner
from qkd.spec.value import digest
from slurm.planning.statuses import Status, statuses
from slurm.planning.work import Work

OURS = "qkd.models."


def try_networks(work: Work, ranks: int = 1) -> None:
    """Builds every student and teacher once, quantized as it will be and with the ready weights
    that are still to be taken in, and runs it: a network that cannot be built, traced, quantized or
    trained, or whose weights do not fit, is found here. Says what is to be said of one.

    Args:
        work: what is to be run; its data are there.
        ranks: that share a batch.

    Raises ValueError, naming the network.
    """
    planned = list(work.plan.stages.values())
    parts = ranks * work.settings.micro_batches
    told: dict[str, int] = {}
    for history, learner, part in _learners(planned, parts):
        try:
            classes = _try_one(work, history, learner, part)
        except Exception as error:
            said = " ".join(str(error).split())
            raise ValueError(f"the network {learner.network.name}: {said}") from error
        if classes is not None:
            told[digest(learner.network)] = classes
    for one in planned:
        _require_one_language(one.stage.history, told)


def _learners(planned: Iterable[Planned], parts: int) -> list[tuple[History, Learner, int]]:
    """Each learner once, with a history that has it, and how many images of it are in memory at
    once where a stage trains it (0: none does)."""
    found: dict[str, tuple[History, Learner, int]] = {}
    for one in planned:
        history, phases = one.stage.history, one.stage.history.parts
        trains = {
            "student": bool(one.stage.steps),
            "teacher": any(part.phase.trains_teacher for part in phases),
        }
        for name in ("student", "teacher"):
            learner: Learner | None = getattr(history, name)
            if learner is None:
                continue
            key = digest(learner)
            part = max(1, history.recipe.batch // parts) if trains[name] else 0
            before = found[key][2] if key in found else 0
            smaller = min(filter(None, (before, part)), default=0)
            found[key] = history, learner, smaller
    return list(found.values())


def _try_one(work: Work, history: History, learner: Learner, part: int) -> int | None:
    """How many classes it tells apart; None where that is known of the same network in float."""
    import torch

    from qkd.data.cache import load
    from qkd.measures.remarks import remarks
    from qkd.models.layout import lay_out
    from qkd.training.begin import build
    from qkd.training.trial import try_out
    from qkd.weights.reading import fill

    network = build(learner, 0, "check", torch.device("cpu"))
    if learner.weights is not None and not _is_taken_in(work, learner):
        fill(network, learner.weights, work.settings.data)
    if learner.network.factory.startswith(OURS) and learner.quantization is not None:
        return None  # their float ones are tried, and tests try these
    shape = load(history.data, work.settings.data).test.shape
    lay_out(network, shape)
    told = try_out(network, shape, history.data.classes, part)
    if learner.quantization is not None:
        for said in remarks(network):
            print(printable(f"{learner.network.name}, {learner.quantization.bits.label}: {said}"))
    return told


def _is_taken_in(work: Work, learner: Learner) -> bool:
    """Whether the record of its ready weights is done."""
    found = statuses(work.plan, work.store)
    return any(
        found[key] == Status.DONE
        for key, one in work.plan.stages.items()
        if one.stage.history.student == learner
    )


def _require_one_language(history: History, told: dict[str, int]) -> None:
    """Raises ValueError where a student and its teacher tell other numbers of classes apart."""
    if history.teacher is None:
        return
    both = [told.get(digest(one.network)) for one in (history.student, history.teacher)]
    if None not in both and both[0] != both[1]:
        raise ValueError(
            f"the network {history.student.network.name} tells {both[0]} classes apart, its "
            f"teacher {history.teacher.network.name} {both[1]}: they learn from each other's logits"
        )
