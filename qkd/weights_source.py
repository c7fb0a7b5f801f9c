"""Which ready weights a network begins with, as part of its value (torch-free)."""

from typing import Annotated

import msgspec

from qkd.value import NOT_IDENTITY, Value

WeightsDigest = Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{8}|[0-9a-f]{64})?$")]
WeightsSource = Annotated[
    str, msgspec.Meta(pattern=r"^(file:.+|torchvision:[A-Za-z0-9_]+\.[A-Za-z0-9_]+)$")
]


class Weights(Value, kw_only=True):
    """A file of ready weights for a network in full precision.

    ``source`` is ``file:PATH``, a path within the data folder unless it is absolute; ``sha256``
    says which file that must be, empty until the launcher has read it. Or it is
    ``torchvision:NAME``, as `qkd.published.torchvision` makes it: ``name`` is then that NAME, for a
    source is no part of the identity, and ``sha256`` the eight digits that the published file's
    name has, so that a plan needs no file. ``entry`` names the weights among the file's entries
    (none: the file holds nothing else). ``rename`` maps beginnings of the file's names to what
    stands in their place in the network's: ``{"module.": "", "fc.": "linear."}``.
    """

    source: Annotated[WeightsSource, msgspec.Meta(extra=NOT_IDENTITY)]
    sha256: WeightsDigest = ""
    name: str = ""
    entry: str = ""
    rename: dict[str, str] = {}  # noqa: RUF012 (a Struct copies it)

    def __post_init__(self) -> None:
        super().__post_init__()
        kind, _, name = self.source.partition(":")
        if kind == "torchvision" and (self.name != name or len(self.sha256) != 8):
            raise ValueError(
                f"weights from {self.source} need their name and eight digits of their sha256: "
                f"qkd.published.torchvision({name!r}) knows them"
            )
        if kind == "file" and (self.name or len(self.sha256) == 8):
            raise ValueError("a file of weights has no name, and all 64 digits of a sha256 or none")
