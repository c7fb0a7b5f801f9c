"""What an export says of itself, in export.json and in the report (torch-free)."""

from typing import Annotated, Literal

import msgspec

from qkd.spec.value import NotNegative, Value

FOLDER, FILE = "export", "export.json"
Verdict = Literal["agrees", "known wrong", "wrong", "refused", "not installed"]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Amount = Annotated[int, msgspec.Meta(ge=0)]


class Form(Value, kw_only=True):
    """A form of the student: its file with bytes and sha256, or why there is none."""

    name: str
    file: str = ""
    bytes: Amount = 0
    sha256: str = ""
    refused: str = ""


class Trial(Value, kw_only=True):
    """What a consumer made of a form.

    Attributes:
        form: the form's name.
        consumer: the library and its setting.
        version: the library's.
        images: on how many test images it ran.
        agreement: the share of them on which its top-1 is the fake-quantized network's.
        largest: the largest difference of two logits.
        median: the median over images of their largest difference.
        layers, integer_layers: convolutions and linear layers, and those on integer kernels.
        verdict: "known wrong" where qkd.export.known names the consumer with this version.
        note: what to set, or what is wrong.
    """

    form: str
    consumer: str
    version: str = ""
    images: Amount = 0
    agreement: Share | None = None
    largest: NotNegative | None = None
    median: NotNegative | None = None
    layers: Amount = 0
    integer_layers: Amount = 0
    verdict: Verdict
    note: str = ""

    @property
    def is_failure(self) -> bool:
        """Whether the form's file must not be used."""
        return self.verdict in ("wrong", "refused")


class Told(Value, kw_only=True):
    """All that export.json says.

    ``rounding`` is the median difference of the network's own logits in float32 from those in
    float64, and ``top1`` its accuracy in percent, both on the test images used.
    """

    stage: str
    record: str
    opset: int
    images: Amount = 0
    top1: NotNegative = 0.0
    rounding: NotNegative = 0.0
    forms: tuple[Form, ...]
    trials: tuple[Trial, ...] = ()

    @property
    def failures(self) -> tuple[str, ...]:
        """Each form that is not there although it could be, and why."""
        return tuple(
            f"{trial.form}: {trial.consumer} {trial.version} {trial.verdict}: {trial.note}"
            for trial in self.trials
            if trial.is_failure
        )

    @property
    def unverified(self) -> tuple[str, ...]:
        """Written forms of a graph that no consumer of others has run."""
        asked = {trial.form for trial in self.trials}
        agreed = {trial.form for trial in self.trials if trial.verdict == "agrees"}
        return tuple(form.name for form in self.forms if form.file and form.name in asked - agreed)
