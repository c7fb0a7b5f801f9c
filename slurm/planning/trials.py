"""Every network of a plan built and tried before anything is trained, its data looked at."""

from collections.abc import Iterable

from benchmarks.plan import Planned
from qkd.records.files import printable
from qkd.spec import History, Learner, Stage
from qkd.spec.value import digest
from slurm.planning.statuses import Status, statuses
from slurm.planning.work import Work

OURS = "qkd.models."


def try_networks(work: Work, ranks: int = 1) -> None:
    """Builds every student and teacher once, quantized as it will be and with the ready weights
    that are still to be taken in, and runs it: a network that cannot be built, traced, quantized or
    trained, or whose weights do not fit, is found here, and so is a phase whose hooks or features
    they do not have. Says what is to be said of one.

    Args:
        work: what is to be run; its data are there.
        ranks: that share a batch.

    Raises ValueError, naming the network or the phase.
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
    for stage in _of_more_than_logits(planned):
        try:
            _try_phase(work, stage, ranks)
        except Exception as error:
            said = " ".join(str(error).split())
            name = stage.history.student.network.name
            raise ValueError(f"the phase {stage.label} of {name}: {said}") from error


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


def _of_more_than_logits(planned: Iterable[Planned]) -> list[Stage]:
    """The stages whose phase has hooks, or compares features: one for each phase and networks."""
    found = {}
    for one in planned:
        history, parts = one.stage.history, one.stage.history.parts
        if parts and (parts[-1].phase.after_step or parts[-1].phase.compares_features):
            learners = history.student, history.teacher
            alike = (digest(it) if it else "" for it in (parts[-1].phase, *learners))
            found[tuple(alike)] = one.stage
    return list(found.values())


def _try_phase(work: Work, stage: Stage, ranks: int) -> None:
    """Makes the phase's hooks, and looks for the features that its terms compare."""
    import torch

    from qkd.data.cache import load
    from qkd.models.layout import lay_out
    from qkd.training.begin import build
    from qkd.training.features import compared, require_seen
    from qkd.training.hooks import hooks_of

    require_seen(stage, work.settings.compile, ranks)
    history, phase = stage.history, stage.history.parts[-1].phase
    shape = load(history.data, work.settings.data).test.shape
    cpu = torch.device("cpu")
    student = lay_out(build(history.student, 0, "check", cpu), shape)
    hooks_of(phase, student)
    if history.teacher is not None and phase.compares_features:
        teacher = lay_out(build(history.teacher, 0, "check", cpu), shape)
        compared(phase.student, student, teacher, shape)
        compared(phase.teacher, teacher, student, shape)


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
