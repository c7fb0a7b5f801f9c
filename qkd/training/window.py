"""Sums over the steps since the last line of metrics."""

import math
from typing import Any

import torch
from torch import Tensor


class NotFinite(ArithmeticError):
    """A loss that is infinite or not a number: the stage cannot go on."""


class Window:
    """Means of the loss terms since the last line; survives a kill and a cut between stages.

    Sums stay on the device until they are asked for: a step does not wait for the device.
    """

    def __init__(self, state: dict[str, Any] | None = None) -> None:
        state = state or {"sums": {}, "steps": {}, "seconds": 0.0}
        self._sums: dict[str, Tensor] = dict(state["sums"])
        self._steps: dict[str, int] = dict(state["steps"])
        self.seconds: float = state["seconds"]

    def add(self, values: dict[str, Tensor]) -> None:
        """One step's loss terms, by side and name."""
        for name, value in values.items():
            past = self._sums.get(name)
            self._sums[name] = value.double() if past is None else past.to(value.device) + value
            self._steps[name] = self._steps.get(name, 0) + 1

    def require_finite(self, step: int) -> None:
        """Raises NotFinite, naming the term, where a sum is no finite number."""
        if not self._sums:
            return
        totals = torch.stack([value.double() for value in self._sums.values()]).tolist()
        for name, total in zip(self._sums, totals, strict=True):
            if not math.isfinite(total):
                raise NotFinite(
                    f"the loss term {name} became {total} in the {self._steps[name]} steps up to "
                    f"step {step}: lower the learning rate, or look at the data"
                )

    def means(self) -> dict[str, float]:
        """Each term's mean over the steps in which it was there."""
        return {name: float(total) / self._steps[name] for name, total in self._sums.items()}

    @property
    def steps(self) -> int:
        """Steps since the last line."""
        return max(self._steps.values(), default=0)

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        sums = {name: total.detach().cpu() for name, total in self._sums.items()}
        return {"sums": sums, "steps": dict(self._steps), "seconds": self.seconds}
