"""What `make export-speed` measures of a machine, as values (torch-free)."""

from typing import Annotated

import msgspec

from benchmarks.speed.figures import Machine
from qkd.spec.value import Count, NotNegative, Value

Amount = Annotated[int, msgspec.Meta(ge=0)]


class Latency(Value, kw_only=True):
    """The time that a consumer takes for a form of a quantized network, over that for the same
    network in float32: the median over rounds in turn, with the middle half of them as ``low`` and
    ``high``. ``size`` and ``float_size`` are the bytes of both files."""

    network: str
    bits: str
    form: str
    consumer: str
    version: str
    images: Count
    ratio: NotNegative
    low: NotNegative
    high: NotNegative
    float_milliseconds: NotNegative
    size: Amount
    float_size: Amount
    integer_layers: Amount
    layers: Amount


class Elsewhere(Value, kw_only=True):
    """All that one run of `make export-speed` found; ``skipped`` says what was not measured, and
    why."""

    machine: Machine
    latencies: tuple[Latency, ...]
    skipped: dict[str, str] = {}  # noqa: RUF012 (a Struct copies it)
