"""What a stage begins with: the student and the teacher, from the records of its parents."""

from typing import Any

import torch
from torch import Tensor, nn

from qkd.data.batches import Batches
from qkd.imports import FACTORIES, resolve
from qkd.measures.audit import audit
from qkd.models.draws import python_and_numpy
from qkd.models.layout import Shape, lay_out, lay_out_again
from qkd.quantizers.quantize import quantize, set_intervals
from qkd.records.record import BadRecord, State, Store
from qkd.records.schema import Result
from qkd.spec import History, Learner, Quantization, Stage
from qkd.spec.history import before, continues, seed_of, teacher_before
from qkd.training import checkpoint, distributed
from qkd.training.folding import fold
from qkd.training.hooks import hooks_of, load
from qkd.training.step import Side, interval_floors, optimiser_of


class ParentMissing(RuntimeError):
    """A stage was started before a stage that it goes on from was done."""


def parent_checkpoint(store: Store, history: History) -> dict[str, Any]:
    """The final checkpoint of a done stage, its sha256 verified; of several ranks one reads it.

    Raises ParentMissing, BadRecord, or BadCheckpoint.
    """
    return distributed.from_first(lambda: _read(store, history))


def _read(store: Store, history: History) -> dict[str, Any]:
    record = store.record(history)
    if record.state() != State.DONE:
        raise ParentMissing(f"{record.path} is {record.state()}: this stage goes on from it")
    sha256 = record.read(record.result_file, Result).checkpoint_sha256
    if not sha256:
        raise BadRecord(f"{record.result_file} has no checkpoint_sha256")
    try:
        return checkpoint.load(record.checkpoint_file, history.digest, sha256)
    except FileNotFoundError as error:
        raise ParentMissing(f"{record.checkpoint_file} was removed: train it again") from error


def build(learner: Learner, seed: int, stream: str, device: torch.device) -> nn.Module:
    """The learner's network, quantized where it is to be, with random weights from a stream."""
    torch.manual_seed(seed_of(seed, stream, 0))
    with python_and_numpy(seed, stream, 0):
        factory = resolve(learner.network.factory, FACTORIES)
        network: nn.Module = factory(**learner.network.arguments)
    if learner.quantization is not None:
        network = quantize(network, learner.quantization)
    return lay_out(network.to(device))


def student_at_start(stage: Stage, store: Store, batches: Batches, device: torch.device) -> Side:
    """The student of the stage: from the state before it, or from its start.

    The intervals' initial values are set once, where a quantized student leaves its start.
    """
    history = stage.history
    learner = history.student
    network = lay_out(build(learner, history.seed, "weights", device), batches.shape)
    source = before(stage)
    if source is not None and continues(stage):
        state = parent_checkpoint(store, source)["student"]
        within = history.steps - stage.steps > history.phase_begin
        return restored("student", network, state, stage, goes_on=within)
    if source is not None:
        _load_float(network, parent_checkpoint(store, source)[learner.side]["network"])
    if learner.quantization is not None:
        quantization = learner.quantization
        # By the whole batch on one rank: the others get its numbers, to the bit.
        begun = distributed.from_first(lambda: _calibrated(network, batches, quantization))
        network.load_state_dict(begun, strict=False)
    return Side(
        "student",
        network,
        optimiser_of(network, history.recipe),
        history.parts[-1].phase.student,
        floors=interval_floors(network),
        precision=history.recipe.precision,
        phase_begin=history.phase_begin,
        hooks=hooks_of(history.parts[-1].phase, network),
    )


def _calibrated(
    network: nn.Module, batches: Batches, quantization: Quantization
) -> dict[str, Tensor]:
    """Sets the initial intervals; returns the state of all quantizers, on the CPU."""
    images, _ = batches.batch(0)
    set_intervals(network, images, quantization)
    audit(network, images)  # what it would refuse at the end, before hours of training
    state = network.state_dict()
    return {name: value.cpu() for name, value in state.items() if "_quantizer." in name}


def teacher_at_start(
    stage: Stage, store: Store, device: torch.device, shape: Shape | None = None
) -> Side | None:
    """The teacher of the stage: as the last phase that trained it left it, or from its start."""
    history = stage.history
    phase = history.parts[-1].phase
    if history.teacher is None or not phase.needs_teacher:
        return None
    network = lay_out(build(history.teacher, history.seed, "teacher-weights", device), shape)
    source = teacher_before(stage)
    if source is not None:
        content = parent_checkpoint(store, source)
        if source != history.teacher.start:
            return restored("teacher", network, content["teacher"], stage)
        network.load_state_dict(content[history.teacher.side]["network"])
    return _teacher(network, stage)


def _teacher(network: nn.Module, stage: Stage) -> Side:
    phase, recipe = stage.history.parts[-1].phase, stage.history.recipe
    if not phase.trains_teacher:
        network = lay_out_again(fold(network))
        precision = recipe.frozen_teacher_precision or recipe.precision
        return Side("teacher", network, precision=precision)
    return Side(
        "teacher",
        network,
        optimiser_of(network, recipe),
        phase.teacher,
        learning_rate_factor=phase.teacher_learning_rate,
        precision=recipe.precision,
        phase_begin=stage.history.phase_begin,
    )


def restored(
    name: str, network: nn.Module, state: dict[str, Any], stage: Stage, *, goes_on: bool = True
) -> Side:
    """A side as a checkpoint holds it; its terms are those of the stage's phase. So are its hooks,
    as the checkpoint holds them where it ``goes_on`` within the phase.
    """
    network.load_state_dict(state["network"])
    if name == "teacher":
        side = _teacher(network, stage)
    else:
        device = next(network.parameters()).device
        side = Side(
            name,
            network,
            optimiser_of(network, stage.history.recipe),
            stage.history.parts[-1].phase.student,
            floors={key: floor.to(device) for key, floor in state["floors"].items()},
            floor_hits=state["floor_hits"],
            precision=stage.history.recipe.precision,
            phase_begin=stage.history.phase_begin,
            hooks=hooks_of(stage.history.parts[-1].phase, network),
        )
        if goes_on:
            load(side.hooks, state.get("hooks", ()))
    if side.optimiser is not None and state["optimiser"] is not None:
        _load_optimiser(side.optimiser, state["optimiser"])
    return side


def _load_optimiser(optimiser: torch.optim.SGD, state: dict[str, Any]) -> None:
    """Momentum comes back; hyper-parameters stay those of the recipe."""
    groups = [
        {**saved, **{key: value for key, value in group.items() if key != "params"}}
        for saved, group in zip(state["param_groups"], optimiser.param_groups, strict=True)
    ]
    optimiser.load_state_dict({"state": state["state"], "param_groups": groups})


def _load_float(network: nn.Module, state: dict[str, Tensor]) -> None:
    """A float network's state into the same network, quantized or not.

    Raises ValueError where anything but the quantizers' parameters is missing.
    """
    missing, unexpected = network.load_state_dict(state, strict=False)
    lacking = [name for name in missing if "_quantizer." not in name]
    if lacking or unexpected:
        raise ValueError(
            f"the start's weights do not fit the network: missing {lacking[:5]}, "
            f"unexpected {list(unexpected)[:5]}"
        )
