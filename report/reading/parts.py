"""The parts of a record's files that the report reads, each checked when it is read."""

import math
from typing import Annotated

import msgspec
import numpy
import numpy.typing

from qkd.spec import BitCount
from qkd.spec.value import Count, NotNegative, Value

Percent = Annotated[float, msgspec.Meta(ge=0, le=100)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Images = Annotated[int, msgspec.Meta(ge=1, le=2**53)]


class Accuracy(Value, kw_only=True, forbid_unknown_fields=False):
    """Right answers of ``images``; ``top1`` in percent, which must follow from the counts, and the
    mean cross-entropy.

    ``correct`` says which are right: one bit an image in the order of the test set, the first the
    highest bit of the first byte (numpy.packbits), in base64; None where it was not recorded.
    """

    correct1: Annotated[int, msgspec.Meta(ge=0)]
    images: Images
    top1: Percent
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
        bits = numpy.unpackbits(numpy.frombuffer(correct, numpy.uint8))
        if bits[self.images :].any():
            raise ValueError(f"correct has a bit beyond the {self.images} images")
        if int(bits.sum()) != self.correct1:
            raise ValueError(f"correct has {bits.sum()} bits set, but {self.correct1} are right")

    def right(self) -> "numpy.typing.NDArray[numpy.bool_] | None":
        """Whether each image (images,) is right; None where it was not recorded."""
        if self.correct is None:
            return None
        bits = numpy.unpackbits(numpy.frombuffer(self.correct, numpy.uint8), count=self.images)
        return bits.astype(bool)


class HeldOut(Value, kw_only=True, forbid_unknown_fields=False):
    """The best top-1 on held-out training images in percent; None where there are none."""

    top1: Percent | None


Amount = Annotated[int, msgspec.Meta(ge=0, le=2**62)]
Bytes = Annotated[int, msgspec.Meta(ge=1, le=2**62)]


class Cost(Value, kw_only=True, forbid_unknown_fields=False):
    """What the student costs: see `qkd.measures.cost`. Operations are those of one image."""

    parameters: Amount
    packed_bytes: Bytes
    float32_bytes: Bytes
    macs: Amount
    bit_operations: Amount

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.macs <= self.bit_operations <= 32 * 32 * self.macs:
            raise ValueError(
                f"bit_operations is {self.bit_operations}: {self.macs} multiply-accumulates at 1 "
                f"to 32 bits are {self.macs} to {1024 * self.macs}"
            )


class Quantized(Value, kw_only=True, forbid_unknown_fields=False):
    """What a quantizer was seen to do: its learned scalars by name, the distinct levels counted,
    those it declares, and the share of the elements that it clips."""

    bits: BitCount
    signed: bool
    learned: dict[str, float]
    levels: Annotated[int, msgspec.Meta(ge=0)]
    levels_declared: Count
    clipped: Share

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.levels <= self.levels_declared <= 2**self.bits:
            raise ValueError(
                f"{self.levels} levels of {self.levels_declared} declared on {self.bits} bits: "
                "such a stage fails its audit"
            )


class Layer(Value, kw_only=True, forbid_unknown_fields=False):
    """A layer's audit; without ``activations`` where its inputs are exact."""

    layer: str
    weights: Quantized
    activations: Quantized | None


class Proof(Value, kw_only=True, forbid_unknown_fields=False):
    """The network of integers beside the fake-quantized one in float64, the reference; agreements
    are shares of the images, top-1s in percent. They must follow from counts of images."""

    agreement: Share
    agreement_float32: Share
    top1: Percent
    top1_reference: Percent
    images: Count

    def __post_init__(self) -> None:
        super().__post_init__()
        for share in (self.agreement, self.agreement_float32, self.top1 / 100,
                      self.top1_reference / 100):  # fmt: skip
            if not math.isclose(share * self.images, round(share * self.images), abs_tol=1e-6):
                raise ValueError(f"{share} of {self.images} images is no whole number of them")
        apart = abs(self.top1 - self.top1_reference) / 100
        if apart > 1 - self.agreement + 1e-9:
            raise ValueError(
                f"top1 is {self.top1} and top1_reference {self.top1_reference}, but "
                f"{self.agreement} of the predictions agree"
            )


class LeftOut(Value, kw_only=True):
    """How many images training steps went without, and how many test images, as they could not be
    decoded; the reason for each file."""

    training: Amount
    test: Amount
    files: dict[str, str]


class Result(Value, kw_only=True, forbid_unknown_fields=False):
    """The part of result.json that the report reads; ``cost`` is None in older records. Of a
    quantized stage it holds an audit and a proof, or why there is none, likewise. 0 steps: ready
    weights, not trained here."""

    steps: Annotated[int, msgspec.Meta(ge=0)]
    student: Accuracy
    held_out: HeldOut
    seconds: NotNegative
    images_per_second: NotNegative
    teacher: Accuracy | None = None
    cost: Cost | None = None
    audit: tuple[Layer, ...] = ()
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


class Line(Value, kw_only=True, forbid_unknown_fields=False):
    """The part of a line of metrics.jsonl that the report reads."""

    step: Count
    phase: str
    losses: dict[str, float]
    learning_rate: NotNegative
    student: Accuracy | None = None
    teacher: Accuracy | None = None
    teacher_learning_rate: NotNegative | None = None
    intervals: dict[str, float] = {}  # noqa: RUF012 (a Struct copies it)
    seconds: NotNegative = 0.0


class Environment(Value, kw_only=True, forbid_unknown_fields=False):
    """The part of env.json that the report reads; empty, or None, where it is not known."""

    torch: str = ""
    device: str = ""
    device_name: str = ""
    host: str = ""
    commit: str = ""
    threads: int = 0
    dirty: bool | None = None


class Failure(Value, kw_only=True, forbid_unknown_fields=False):
    """The part of failed.json that the report reads."""

    error: str = ""
    message: str = ""
    trace: str = ""
