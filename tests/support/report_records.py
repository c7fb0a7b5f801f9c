"""Synthetic records with chosen accuracies: nothing in them was trained."""

import json

from msgspec.structs import replace

from benchmarks.matrix import Grid, Label, Matrix
from benchmarks.pairs import cifar_resnet, pretrained_pair
from benchmarks.plan import plan
from qkd.phases import CO_STUDY, RUN_EPOCHS, SELF_STUDY, TUTORING, qkd, without
from qkd.records.record import store_of
from qkd.spec import Bits, Data, Method, Recipe, Share
from qkd.spec.value import encode

IMAGES = 10_000
FULL = qkd()
QKD = FULL
QAT = without(FULL, CO_STUDY, TUTORING, name="qat")
KD = without(FULL, SELF_STUDY, CO_STUDY, name="kd")
SS_CS = without(FULL, TUTORING, name="ss+cs")
FP = Method(name="fp", shares=(), quantizer=None, note="as pre-trained")
FP_TUNED = Method(
    name="fp-tuned", shares=(Share(phase=SELF_STUDY, epochs=RUN_EPOCHS),), quantizer=None
)
DATA = Data(
    name="toy",
    reader="qkd.data.synthetic:read",
    digest="0" * 64,
    train_images=640,
    classes=10,
    mean=(0.5,),
    std=(0.25,),
    held_out=64,
)
LABEL = Label(title="A toy", question="Does it add up?", cost="nothing")


def matrix(methods=(QKD, QAT), seeds=(0, 1), scale="smoke", name="toy", label=LABEL, **grid):
    pair = pretrained_pair(
        cifar_resnet(8, width=4, channels=1, classes=10, size=16),
        cifar_resnet(14, width=4, channels=1, classes=10, size=16),
        DATA,
        steps=10,
        log_every=5,
        batch=32,
    )
    fields = {
        "pair": pair,
        "bits": (Bits(weight=2, activation=2),),
        "methods": methods,
        "seeds": seeds,
        "recipe": Recipe(horizon=20, log_every=1, batch=32),
    }
    return Matrix(name=name, scale=scale, label=label, grids=(Grid(**(fields | grid)),))


def accuracy(top1):
    return {"correct1": round(top1 * IMAGES / 100), "images": IMAGES, "top1": top1, "loss": 1.0}


def quantizer(bits, signed, clipped):
    return {
        "bits": bits,
        "signed": signed,
        "learned": {"interval": 0.25},
        "clipped": clipped,
        "levels": 2**bits - 1,
        "levels_declared": 2**bits - int(signed),
    }


def layer(name, weight_bits, activation_bits):
    inputs = quantizer(activation_bits, False, 0.03125) if activation_bits else None
    return {"layer": name, "weights": quantizer(weight_bits, True, 0.25), "activations": inputs}


def proof(top1, wrong=0, **changes):
    """A proof in which the first ``wrong`` predictions differ, none of them for the worse."""
    shares = {"agreement": 1 - wrong / IMAGES, "agreement_float32": 1 - (wrong + 2) / IMAGES}
    top1s = {"top1": top1, "top1_reference": top1}
    return shares | top1s | {"images": IMAGES, "seconds": 1.0} | changes


def record_of(results, history):
    return store_of(results).record(history)


def write_done(results, stage, top1, teacher_top1=91.0, seconds=1.5, **environment):
    """A done record of the stage, with a line of metrics for each of its steps."""
    record = record_of(results, stage.history)
    record.path.mkdir(parents=True, exist_ok=True)
    record.stage_file.write_bytes(encode(stage))
    trains = stage.history.parts[-1].phase.trains_teacher
    result = {
        "steps": stage.history.steps,
        "trained_steps": stage.steps,
        "student": accuracy(top1),
        "held_out": {"top1": top1 + 1, "last": top1, "step": stage.history.steps},
        "seconds": seconds,
        "images_per_second": 1000.0,
    }
    if trains:
        result["teacher"] = accuracy(teacher_top1)
    if stage.history.student.quantization is not None:
        bits = stage.history.student.quantization.bits
        layers = [layer("conv1", bits.edge, None), layer("conv2", bits.weight, bits.activation)]
        result |= {"audit": layers, "integer": proof(top1)}
    record.result_file.write_text(json.dumps(result))
    known = {"torch": "2.0", "device": "cpu", "device_name": "toy", "threads": 1, "host": "here"}
    record.environment_file.write_text(json.dumps(known | environment))
    phase = stage.history.parts[-1].phase.name
    steps = range(stage.history.steps - stage.steps + 1, stage.history.steps + 1)
    lines = [json.dumps(line(step, phase, top1, trains)) + "\n" for step in steps]
    record.metrics_file.write_text("".join(lines))
    return record


def line(step, phase, top1, trains):
    content = {
        "step": step,
        "phase": phase,
        "losses": {"student_cross_entropy": 1.0 / step},
        "learning_rate": 0.01,
        "student": accuracy(top1),
    }
    if trains:
        content |= {"teacher": accuracy(90.0), "teacher_learning_rate": 0.01}
    return content


def write_matrix(results, content):
    folder = results / "matrices"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{content.name}-{content.scale}.json").write_bytes(encode(content))


def write_run(results, content, top1s, teacher_top1=91.0, pretrained=90.0):
    """The whole matrix: ``top1s`` by (method, seed); a cell without one has no record of its own.

    Stages that no cell ends in have 50 %, the pre-trained networks ``pretrained``.
    """
    write_matrix(results, content)
    cells = list(content.cells())
    ends = {cell.history.digest: top1s.get((cell.method.name, cell.seed)) for cell in cells}
    for planned in plan(cells).stages.values():
        history = planned.stage.history
        top1 = pretrained if history.student.start is None else ends.get(planned.digest, 50.0)
        if top1 is not None:
            write_done(results, planned.stage, top1, teacher_top1)


def cell_of(content, method, seed=0):
    return next(c for c in content.cells() if c.method.name == method and c.seed == seed)


def write_failed(results, stage, message="out of memory"):
    record = record_of(results, stage.history)
    record.open(stage)
    record.result_file.unlink(missing_ok=True)
    failure = {"error": "RuntimeError", "message": message, "trace": "", "time": 0.0}
    record.write_json(record.failed_file, failure)


def edit_result(results, history, edit):
    """Rewrites result.json by hand, as a user might."""
    path = record_of(results, history).result_file
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


def renamed(content, **label):
    return replace(content, label=replace(content.label, **label))
