"""The frame of cells: a row a cell, with its values, its state and all that was measured."""

from collections.abc import Iterator
from typing import NamedTuple

import pandas as pd

from benchmarks.committed import place_in_words
from benchmarks.matrix import Cell
from benchmarks.plan import Plan, cost
from qkd.records.schema import Accuracy, Cost, Environment, LeftOut, Result
from qkd.spec.value import digest
from report.frames.settings import setting_of, stands
from report.frames.tidy import tidy
from report.reading.readings import CellRecords, Readings
from report.reading.records import Outcome, Status
from report.texts import NO_BREAK, SHORT

PROVEN = 0.9999  # of the predictions, as a share: the least agreement of a network of integers


class CellRow(NamedTuple):
    """A cell. Top-1s are in percent and None (in the frame NaN) unless the cell is done, as all
    that follows from a result. ``test_loss`` is the cross-entropy on the test images, and the
    teacher's likewise. ``reestimated_training_top1`` is the student's with batch norms measured
    again on its last batches, ``reestimated_top1`` on images without augmentation.

    Cells that are compared with each other have the same ``setting``; ``recipe`` is what the cell's
    grid has of its own there, ``place`` the number of the setting's first grid. ``teacher_top1`` is
    of the teacher in its last state, ``teacher_before`` in its first. ``macs`` are those of
    training it alone; 0 where not known. ``at_bits`` and ``in_float`` are shares of an evaluation's
    in percent: of layers whose weights and inputs have the bits in the label, and of no quantized
    layer. ``seconds`` are of its whole path, the pre-training aside.
    ``is_proven``: it needs no integer proof, or has one that holds. ``stage`` is its last stage's
    digest. ``arithmetic`` says whose roundings the numbers have, with those of its earlier stages.
    ``records`` holds all that was read.
    """

    matrix: str
    scale: str
    dataset: str
    student: str
    teacher: str
    weight_bits: int
    activation_bits: int
    edge_bits: float | None
    depthwise_bits: float | None
    bits: str
    place: int
    setting: str
    recipe: str
    method: str
    note: str
    seed: int
    status: str
    message: str
    top1: float | None
    test_loss: float | None
    best_top1: float | None
    reestimated_top1: float | None
    reestimated_training_top1: float | None
    teacher_before: float | None
    teacher_top1: float | None
    teacher_loss_before: float | None
    teacher_loss: float | None
    correct: float | None
    images: float | None
    phases: str
    steps: int
    teacher_steps: int
    macs: float
    packed_bytes: float | None
    bit_operations: float | None
    at_bits: float | None
    in_float: float | None
    agreement: float | None
    is_proven: bool
    left_out_training: float | None
    left_out_test: float | None
    seconds: float | None
    images_per_second: float | None
    device: str
    processor: str
    torch: str
    arithmetic: str
    commit: str
    stage: str
    records: CellRecords


def cells(readings: Readings) -> pd.DataFrame:
    """The cells of a run in the matrix's order."""
    return tidy(CellRow, _rows(readings))


def _rows(readings: Readings) -> Iterator[CellRow]:
    matrix = readings.run.matrix
    every = stands(matrix)
    stuck = _failed_and_after(readings.plan, readings.stages)
    for records in readings.cells:
        cell, stand, grid = records.cell, every[records.grid], matrix.grids[records.grid]
        status, message = _state(records, stuck)
        result = records.own.result if status == Status.DONE else None
        environment = records.own.environment or Environment()
        parts = cell.history.parts if cell.method.shares else ()
        size, proof = (result.cost, result.integer) if result else (None, None)
        without = left_out(records) if result else None
        plain, renormed = (
            (result.reestimated, result.reestimated_training) if result else (None, None)
        )
        before = _teacher_before(records) if result else None
        after = _teacher_after(records) if result else None
        yield CellRow(
            matrix=matrix.name,
            scale=matrix.scale,
            dataset=cell.pair.data.name,
            student=cell.pair.student.name,
            teacher=cell.pair.teacher.name,
            weight_bits=cell.weight_bits,
            activation_bits=cell.activation_bits,
            edge_bits=cell.bits.edge if cell.bits else None,
            depthwise_bits=cell.bits.depthwise if cell.bits else None,
            bits=cell.bits.label if cell.bits else "fp",
            place=stand.place,
            setting=setting_of(stand, grid, cell),
            recipe=stand.recipe,
            method=cell.method.name,
            note=cell.method.note,
            seed=cell.seed,
            status=status.value,
            message=message,
            top1=result.student.top1 if result else None,
            test_loss=result.student.loss if result else None,
            best_top1=result.held_out.top1 if result else None,
            reestimated_top1=plain.top1 if plain else None,
            reestimated_training_top1=renormed.top1 if renormed else None,
            teacher_before=before.top1 if before else None,
            teacher_top1=after.top1 if after else None,
            teacher_loss_before=before.loss if before else None,
            teacher_loss=after.loss if after else None,
            correct=result.student.correct1 if result else None,
            images=result.student.images if result else None,
            phases=", ".join(
                f"{SHORT.get(part.phase.name, part.phase.name)}{NO_BREAK}{part.steps}"
                for part in parts
            ),
            steps=sum(part.steps for part in parts),
            teacher_steps=sum(part.steps for part in parts if part.phase.trains_teacher),
            macs=_macs(cell),
            packed_bytes=size.packed_bytes if size else None,
            bit_operations=size.bit_operations if size else None,
            at_bits=_share(size, size.macs_at_bits) if size else None,
            in_float=_share(size, size.macs_in_float) if size else None,
            agreement=proof.agreement if proof else None,
            is_proven=cell.bits is None or (proof is not None and proof.agreement >= PROVEN),
            left_out_training=without.training if without else None,
            left_out_test=without.test if without else None,
            seconds=_seconds(records) if result else None,
            images_per_second=result.images_per_second if result else None,
            device=environment.device,
            processor=environment.device_name,
            torch=environment.torch,
            arithmetic=_arithmetic(records),
            commit=environment.commit,
            stage=cell.history.digest,
            records=records,
        )


def _share(size: Cost, part: int | None) -> float | None:
    """A part of the multiply-accumulates in percent; None where it was not recorded."""
    return None if part is None or not size.macs else 100 * part / size.macs


def arithmetic(environment: Environment) -> str:
    """Whose roundings a cell's numbers have: equal for cells that may be compared bit by bit."""
    if all(place.portable for place in environment.places or (environment,)):
        return f"PORTABLE=1, torch {environment.torch}"
    return place_in_words(environment)


def _arithmetic(records: CellRecords) -> str:
    """That of every stage of its path, and of the teacher that another path left."""
    learner, outcomes = records.cell.history.teacher, [*records.path]
    if learner is not None and learner.side == "teacher" and records.teacher_start is not None:
        outcomes.append(records.teacher_start)
    known = [one.environment for one in outcomes if one.environment is not None]
    return "; then ".join(dict.fromkeys(map(arithmetic, known or [Environment()])))


def _failed_and_after(planned: Plan, stages: dict[str, Outcome]) -> set[str]:
    """The digests of failed stages and of all that wait for one; parents stand before children."""
    failed: set[str] = set()
    for digest_, stage in planned.stages.items():
        if stages[digest_].status == Status.FAILED or not failed.isdisjoint(stage.parents):
            failed.add(digest_)
    return failed


def _state(records: CellRecords, stuck: set[str]) -> tuple[Status, str]:
    """The cell's status, and why it has no number."""
    cell, own = records.cell, records.own
    if cell.skipped:
        return Status.SKIPPED, cell.skipped
    if own.status == Status.MISSING and cell.history.digest in stuck:
        return Status.BLOCKED, "a stage that it goes on from failed"
    return own.status, own.message


def _teacher_before(records: CellRecords) -> Accuracy | None:
    """Of what the teacher starts as: another record's student, or its teacher."""
    learner, start = records.cell.history.teacher, records.teacher_start
    if learner is None or start is None or start.result is None:
        return None
    return start.result.student if learner.side == "student" else start.result.teacher


def _teacher_after(records: CellRecords) -> Accuracy | None:
    """Of the record of the last phase that trained the teacher, else of the teacher's start."""
    if records.teacher is None:
        return _teacher_before(records)
    result = records.teacher.result
    return result.teacher if result else None


def _macs(cell: Cell) -> int:
    """Multiply-accumulates of one seed's training; 0 where none, or not known."""
    pair = cell.pair
    if not cell.method.shares or not pair.student_macs or not pair.teacher_macs:
        return 0
    macs = {digest(pair.student): pair.student_macs, digest(pair.teacher): pair.teacher_macs}
    return cost(cell.history, cell.history.steps, macs)


def _results(records: CellRecords) -> list[Result]:
    return [outcome.result for outcome in records.path if outcome.result]


def _seconds(records: CellRecords) -> float:
    return sum(result.seconds for result in _results(records))


def left_out(records: CellRecords) -> LeftOut:
    """The photos that its path's training steps, and its test, went without as they could not be
    decoded: earlier stages are tested on the same images."""
    results = _results(records)
    found = [one.left_out for one in results if one.left_out]
    last = results[-1].left_out
    return LeftOut(
        training=sum(one.training for one in found),
        test=last.test if last else 0,
        files={name: why for one in found for name, why in sorted(one.files.items())},
    )
