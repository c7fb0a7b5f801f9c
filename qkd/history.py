"""How a history grows, and where the state that a stage begins with comes from (torch-free)."""

from collections.abc import Callable

import msgspec

from qkd.spec import History, Learner, Part, Phase, Stage


def grown(history: History, phase: Phase, steps: int, teacher: Learner | None) -> History:
    """The history after ``steps`` more steps of ``phase``, joined with a last part of that phase.

    ``teacher`` enters the history with the first phase that needs one.
    """
    parts = list(history.parts)
    if parts and parts[-1].phase == phase:
        steps += parts.pop().steps
    parts.append(Part(phase=phase, steps=steps))
    if history.teacher is not None or not phase.needs_teacher:
        teacher = history.teacher
    return msgspec.structs.replace(history, parts=tuple(parts), teacher=teacher)


def prefix(history: History, steps: int) -> History:
    """The history's first ``steps`` steps. Raises ValueError if it has fewer."""
    if not 0 <= steps <= history.steps:
        raise ValueError(f"a history of {history.steps} steps has no first {steps}")
    if steps == history.steps:
        return history
    parts: list[Part] = []
    for part in history.parts:
        length = min(part.steps, steps)
        steps -= length
        if length:
            whole = length == part.steps
            parts.append(part if whole else Part(phase=part.phase, steps=length))
    needs_teacher = any(part.phase.needs_teacher for part in parts)
    return msgspec.structs.replace(
        history, parts=tuple(parts), teacher=history.teacher if needs_teacher else None
    )


# A history's first steps: `prefix`, or what looks up a history that is already there.
Prefix = Callable[[History, int], History]


def before(stage: Stage, prefix_of: Prefix = prefix) -> History | None:
    """What the student has been through when the stage begins; None: its random start."""
    steps = stage.history.steps - stage.steps
    return prefix_of(stage.history, steps) if steps else stage.history.student.start


def continues(stage: Stage) -> bool:
    """Whether the stage goes on with the optimiser of another stage of the same history."""
    return stage.history.steps > stage.steps


def teacher_before(stage: Stage, prefix_of: Prefix = prefix) -> History | None:
    """The history whose record holds the teacher that the stage begins with.

    The longest earlier prefix that ends in a phase that trains the teacher, else the teacher's
    start. None where the stage needs no teacher, or the teacher starts at random.
    """
    history = stage.history
    if history.teacher is None or not history.parts[-1].phase.needs_teacher:
        return None
    begin = history.steps - stage.steps
    trained, position = 0, 0
    for part in history.parts:
        end = min(position + part.steps, begin)
        if part.phase.trains_teacher and end > position:
            trained = end
        position += part.steps
    return prefix_of(history, trained) if trained else history.teacher.start


def parents(stage: Stage, prefix_of: Prefix = prefix) -> tuple[History, ...]:
    """The histories whose records a stage reads: the student's first."""
    both = before(stage, prefix_of), teacher_before(stage, prefix_of)
    found = [history for history in both if history is not None]
    return tuple({history.digest: history for history in found}.values())
