"""Which network, with which ready weights, at which bits (torch-free)."""

from typing import Annotated, Literal

import msgspec

from qkd.spec.value import NOT_IDENTITY, ImportPath, Name, Scalar, Value

BitCount = Annotated[int, msgspec.Meta(ge=2, le=8)]
WeightsDigest = Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{8}|[0-9a-f]{64})?$")]
WeightsSource = Annotated[
    str, msgspec.Meta(pattern=r"^(file:.+|torchvision:[A-Za-z0-9_]+\.[A-Za-z0-9_]+)$")
]
INTERVAL = "qkd.quantizers:IntervalQuantizer"


class Network(Value, kw_only=True):
    """An architecture: ``factory(**arguments)`` builds the ``torch.nn.Module``."""

    name: Annotated[Name, msgspec.Meta(extra=NOT_IDENTITY)]
    factory: ImportPath
    arguments: dict[str, Scalar] = {}  # noqa: RUF012 (a Struct copies it)


class Weights(Value, kw_only=True):
    """A file of ready weights for a network in full precision.

    ``source`` is ``file:PATH``, a path within the data folder unless it is absolute; ``sha256``
    says which file that must be, empty until the launcher has read it. Or it is
    ``torchvision:NAME``, as `qkd.weights.published` makes it: ``name`` is then that NAME, for a
    source is no part of the identity, and ``sha256`` the eight digits that the published file's
    name has, so that a plan needs no file. ``entry`` names the weights among the file's entries
    (none: the file holds nothing else), ``ema.module`` an entry within another. ``rename`` maps
    beginnings of the file's names to what stands in their place in the network's:
    ``{"module.": "", "fc.": "linear."}``. ``drop`` are names of the file that are no weights of
    the network: ``"criterion."`` all that begin so, ``"total_ops"`` that name in any module.
    """

    source: Annotated[WeightsSource, msgspec.Meta(extra=NOT_IDENTITY)]
    sha256: WeightsDigest = ""
    name: str = ""
    entry: str = ""
    rename: dict[str, str] = {}  # noqa: RUF012 (a Struct copies it)
    drop: tuple[Annotated[str, msgspec.Meta(min_length=1)], ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        kind, _, name = self.source.partition(":")
        if kind == "torchvision" and (self.name != name or len(self.sha256) != 8):
            raise ValueError(
                f"weights from {self.source} need their name and eight digits of their sha256: "
                f"qkd.weights.published.torchvision({name!r}) knows them"
            )
        if kind == "file" and (self.name or len(self.sha256) == 8):
            raise ValueError("a file of weights has no name, and all 64 digits of a sha256 or none")


class Bits(Value, kw_only=True):
    """Bits of the weights and of the input activations; ``edge``: of the first and last layer,
    ``depthwise``: of depthwise convolutions (none: as all others), both for weights and inputs.
    """

    weight: BitCount
    activation: BitCount
    edge: BitCount = 8
    depthwise: BitCount | None = None

    @property
    def label(self) -> str:
        """As in the tables: ``W2A2``, or ``W2A2E4`` where the edges are not at 8 bits, ``W2A2D8``
        where depthwise convolutions have bits of their own.
        """
        edge = "" if self.edge == 8 else f"E{self.edge}"
        depthwise = "" if self.depthwise is None else f"D{self.depthwise}"
        return f"W{self.weight}A{self.activation}{edge}{depthwise}"


class Quantization(Value, kw_only=True):
    """How a network is quantized: a quantizer class, its bits, how its intervals begin.

    ``in_float`` names what multiplies by weights and stays in float all the same: modules,
    parameters or calls, and what lies within them (``encoder``, ``blocks.*.attention``). The report
    then says of which share of the multiply-accumulates the bits are.
    """

    bits: Bits
    quantizer: ImportPath = INTERVAL
    initial_interval: Literal["mse", "minmax"] = "mse"
    in_float: tuple[Annotated[str, msgspec.Meta(min_length=1, max_length=200)], ...] = ()
