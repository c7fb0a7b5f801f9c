"""How a history grows, and where the state that a stage begins with comes from (torch-free)."""

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
    parts: list[Part] = []
    for part in history.parts:
        length = min(part.steps, steps)
        steps -= length
        if length:
            parts.append(Part(phase=part.phase, steps=length))
    needs_teacher = any(part.phase.needs_teacher for part in parts)
    return msgspec.structs.replace(
        history, parts=tuple(parts), teacher=history.teacher if needs_teacher else None
    )


def before(stage: Stage) -> History | None:
    """What the student has been through when the stage begins; None: its random start."""
    history = prefix(stage.history, stage.history.steps - stage.steps)
    return history if history.parts else stage.history.student.start


def continues(stage: Stage) -> bool:
    """Whether the stage goes on with the optimiser of another stage of the same history."""
    return stage.history.steps > stage.steps


def teacher_before(stage: Stage) -> History | None:
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
    return prefix(history, trained) if trained else history.teacher.start


def parents(stage: Stage) -> tuple[History, ...]:
    """The histories whose records a stage reads."""
    found = [h for h in (before(stage), teacher_before(stage)) if h is not None]
    return tuple({history.digest: history for history in found}.values())
