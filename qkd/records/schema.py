"""What the files of a record hold, checked when they are made and when they are read (torch-free).

One schema for whoever writes and whoever reads. Files of older code lack what came later: such
fields have a default, and what this code does not know is passed over.
"""

import math
from typing import TYPE_CHECKING, Annotated

import msgspec

from qkd.spec import BitCount
from qkd.spec.value import Count, NotNegative, Value

if TYPE_CHECKING:
    import numpy
    import numpy.typing

Percent = Annotated[float, msgspec.Meta(ge=0, le=100)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
ImageCount = Annotated[int, msgspec.Meta(ge=1, le=2**53)]


class Content(Value, kw_only=True, forbid_unknown_fields=False, omit_defaults=True):
    """What a file of a record holds, or a part of it."""


class Accuracy(Content, kw_only=True):
    """Right answers of ``images``; ``top1`` and ``top5`` in percent, which must follow from the
    counts; ``loss`` is the mean cross-entropy in nats.

    ``correct`` says which are right: one bit an image in the order of the test set, the first the
    highest bit of the first byte (numpy.packbits), in base64; None where it was not recorded.
    """

    correct1: Annotated[int, msgspec.Meta(ge=0)]
    images: ImageCount
    top1: Percent
    correct5: Annotated[int, msgspec.Meta(ge=0)] | None = None
    top5: Percent | None = None
    loss: NotNegative | None = None
    correct: bytes | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not math.isclose(self.top1, 100 * self.correct1 / self.images, abs_tol=1e-6):
            raise ValueError(f"top1 is {self.top1}, but {self.correct1} of {self.images} are right")
        if self.correct is not None:
            self._check(self.correct)

    def _check(self, correct: bytes) -> None:
        """Raises ValueError where the bits are not those of ``correct1`` of ``images``."""
        if len(correct) != -(-self.images // 8):
            raise ValueError(f"correct has {len(correct)} bytes for {self.images} images")
        bits, spare = int.from_bytes(correct), 8 * len(correct) - self.images
        if bits & ((1 << spare) - 1):
            raise ValueError(f"correct has a bit beyond the {self.images} images")
        if bits.bit_count() != self.correct1:
            raise ValueError(
                f"correct has {bits.bit_count()} bits set, but {self.correct1} are right"
            )

    def right(self) -> "numpy.typing.NDArray[numpy.bool_] | None":
        """Whether each image (images,) is right; None where it was not recorded."""
        if self.correct is None:
            return None
        import numpy  # which a login node that plans has no need of

        bits = numpy.unpackbits(numpy.frombuffer(self.correct, numpy.uint8), count=self.images)
        return bits.astype(bool)


class HeldOut(Content, kw_only=True):
    """The best top-1 on held-out training images in percent, the step that had it, and the last
    top-1; None where there are none."""

    top1: Percent | None
    step: int | None = None
    last: Percent | None = None


Amount = Annotated[int, msgspec.Meta(ge=0, le=2**62)]
Bytes = Annotated[int, msgspec.Meta(ge=1, le=2**62)]


class Cost(Content, kw_only=True):
    """What a network costs (`qkd.measures.cost`). Operations are those of one image.

    Attributes:
        parameters: those of the float network; the quantizers' own, a few a layer, aside.
        packed_bytes: bytes of the packed network as a file (`qkd.quantizers.packed`).
        float32_bytes: bytes of the float network in the same kind of file.
        macs: multiply-accumulates, those of attention, cells and matrix products too.
        bit_operations: those, each times the bits of its weight and the bits of its input. A layer
            without a quantizer counts 32 x 32. The first layer's input is an image, which no
            quantizer touches: its pixels are 8-bit already and count so.
        macs_at_bits: of a quantized network those of layers whose weights and inputs have the bits
            that it is named after; None in records of older code, and so is the next.
        macs_in_float: those of no quantized layer.
    """

    parameters: Amount
    packed_bytes: Bytes
    float32_bytes: Bytes
    macs: Amount
    bit_operations: Amount
    macs_at_bits: Amount | None = None
    macs_in_float: Amount | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        of_both = (self.macs_at_bits or 0) + (self.macs_in_float or 0)
        if of_both > self.macs:
            raise ValueError(f"{of_both} of {self.macs} multiply-accumulates at its bits or float")
        if not self.macs <= self.bit_operations <= 32 * 32 * self.macs:
            raise ValueError(
                f"bit_operations is {self.bit_operations}: {self.macs} multiply-accumulates at 1 "
                f"to 32 bits are {self.macs} to {1024 * self.macs}"
            )


class QuantizedTensor(Content, kw_only=True):
    """What a quantizer was seen to do: its learned scalars by name, the distinct levels counted,
    those it declares, and the share of the elements that it clips. ``never_negative``: it is signed
    and saw nothing negative, so that half of its levels are idle."""

    bits: BitCount
    signed: bool
    learned: dict[str, float]
    levels: Annotated[int, msgspec.Meta(ge=0)]
    levels_declared: Count
    clipped: Share
    never_negative: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.levels <= self.levels_declared <= 2**self.bits:
            raise ValueError(
                f"{self.levels} levels of {self.levels_declared} declared on {self.bits} bits: "
                "such a stage fails its audit"
            )


class LayerAudit(Content, kw_only=True):
    """A layer's audit; without ``activations`` where its inputs are exact."""

    layer: str
    weights: QuantizedTensor
    activations: QuantizedTensor | None


class Proof(Content, kw_only=True):
    """The network of integers beside the fake-quantized one in float64, the reference; agreements
    are shares of the images, top-1s in percent. They must follow from counts of images.

    ``images_certain``: of how many the answer of both is certain by a bound
    (`qkd.measures.certain`). On the others both ran in float64, in records of older code on all.
    """

    agreement: Share
    agreement_float32: Share
    top1: Percent
    top1_reference: Percent
    images: Count
    seconds: NotNegative = 0.0
    images_certain: Amount = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.images_certain > self.images:
            raise ValueError(f"{self.images_certain} of {self.images} images are certain")
        for share in (
            self.agreement,
            self.agreement_float32,
            self.top1 / 100,
            self.top1_reference / 100,
        ):
            if not math.isclose(share * self.images, round(share * self.images), abs_tol=1e-6):
                raise ValueError(f"{share} of {self.images} images is no whole number of them")
        apart = abs(self.top1 - self.top1_reference) / 100
        if apart > 1 - self.agreement + 1e-9:
            raise ValueError(
                f"top1 is {self.top1} and top1_reference {self.top1_reference}, but "
                f"{self.agreement} of the predictions agree"
            )


class LeftOut(Content, kw_only=True):
    """How many images training steps went without, and how many test images, as they could not be
    decoded; the reason for each file."""

    training: Amount
    test: Amount
    files: dict[str, str]


class Result(Content, kw_only=True):
    """result.json, whose existence makes a stage done. 0 steps: ready weights, not trained here.

    ``steps`` are the student's since its start, ``trained_steps`` those of this stage. ``student``
    is of the test set, ``teacher`` likewise where the stage trained it. ``seconds`` are of training
    steps, ``wall_seconds`` of all that the stage took; ``floor_hits`` counts intervals that were
    raised to their lowest value. ``weights_sha256`` is of the student's state at the end, whatever
    its file; of the teacher's likewise where the stage trained it. Of a quantized stage there are
    an ``audit`` and a proof, or why there is none (``integer_refused``); ``cost`` likewise.
    ``logits_read`` of the steps took a teacher's logits from a file: ``seconds`` lack its passes.
    ``reestimated_training`` is the student's accuracy with batch norms measured again on its last
    batches, a diagnostic; older records have ``reestimated``, by images that are not augmented.
    """

    steps: Annotated[int, msgspec.Meta(ge=0)]
    trained_steps: Annotated[int, msgspec.Meta(ge=0)] | None = None
    student: Accuracy
    held_out: HeldOut
    seconds: NotNegative
    images_per_second: NotNegative
    wall_seconds: NotNegative | None = None
    compile_seconds: NotNegative | None = None
    logits_read: Amount | None = None
    peak_memory_mib: NotNegative | None = None
    floor_hits: int | None = None
    checkpoint_sha256: str = ""
    checkpoint_bytes: int | None = None
    weights_sha256: str = ""
    teacher_weights_sha256: str = ""
    teacher: Accuracy | None = None
    reestimated: Accuracy | None = None
    reestimated_training: Accuracy | None = None
    cost: Cost | None = None
    cost_refused: str = ""
    audit: tuple[LayerAudit, ...] = ()
    integer: Proof | None = None
    integer_refused: str = ""
    left_out: LeftOut | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.integer is not None and self.integer.images != self.student.images:
            raise ValueError(
                f"the integer proof is of {self.integer.images} images, the test of "
                f"{self.student.images}"
            )


class Line(Content, kw_only=True):
    """A line of metrics.jsonl: what was learned since the last one, and where held-out images
    stand. ``losses`` are means by side and name, ``intervals`` the learned scalars by name."""

    step: Count
    phase: str
    losses: dict[str, float]
    learning_rate: NotNegative
    student: Accuracy | None = None
    teacher: Accuracy | None = None
    teacher_learning_rate: NotNegative | None = None
    intervals: dict[str, float] = {}  # noqa: RUF012 (a Struct copies it)
    floor_hits: int | None = None
    seconds: NotNegative = 0.0
    images_per_second: NotNegative | None = None


class Place(Content, kw_only=True, omit_defaults=False):
    """Whose arithmetic trained a stage. Empty, or None, where it is not known.

    ``device_name`` is the GPU's, on a CPU the processor's; ``vendor``, ``family``, ``model`` and
    ``stepping`` are the processor's own. ``capability`` is the instruction set that torch takes
    (AVX2, AVX512, DEFAULT), ``portable`` whether it was held to AVX2 by PORTABLE=1.
    """

    torch: str = ""
    device: str = ""
    device_name: str = ""
    vendor: str = ""
    family: int | None = None
    model: int | None = None
    stepping: int | None = None
    capability: str = ""
    threads: int = 0
    compile: bool = False
    portable: bool = False


class Environment(Place, kw_only=True):
    """env.json: what a stage ran on. Empty, or None, where it is not known; no environment
    variables, which hold secrets, but the three that choose a CPU's arithmetic.

    ``places`` are all that trained the stage, this one included, which a stage that is resumed
    elsewhere keeps; ``parts``: into how many parts its batches were cut.
    """

    torchvision: str = ""
    numpy: str = ""
    python: str = ""
    platform: str = ""
    machine: str = ""
    host: str = ""
    lean: bool = False
    aten_cpu_capability: str = ""
    onednn_max_cpu_isa: str = ""
    mkl_cbwr: str = ""
    ranks: int = 1
    micro_batches: int = 1
    loaders: int = 0
    parts: tuple[int, ...] = ()
    places: tuple[Place, ...] = ()
    data: str = ""
    job: str = ""
    command: tuple[str, ...] = ()
    commit: str = ""
    dirty: bool | None = None


class Failure(Content, kw_only=True):
    """failed.json: a stage stays failed until ``make retry``. ``time`` is that of the clock."""

    error: str = ""
    message: str = ""
    trace: str = ""
    time: float = 0.0
