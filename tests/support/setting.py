"""One setting of a committed run: pair, bits and length, read from its records by hand."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from msgspec import convert

from qkd.records.schema import Accuracy
from tests.support import by_rule
from tests.support.by_rule import contrast_row, judged, mean
from tests.support.readmes import result_of, teacher_before


@dataclass(frozen=True, eq=False)
class Setting:
    """The quantized cells that are done, and the contrasts that its phases fix."""

    run: Path
    cells: pd.DataFrame
    phases: tuple[str, ...]

    @cached_property
    def found(self) -> pd.DataFrame:
        """Top-1 in percent: a row for each seed, a column for each method."""
        return self.cells.pivot(index="seed", columns="method", values="top1")

    def results(self, method: str) -> list[dict]:
        stages = self.cells[self.cells.method == method].stage
        return [result_of(self.run, stage) for stage in stages]

    def averaged(self, method: str, part: str, name: str) -> float:
        return float(np.mean([one[part][name] for one in self.results(method)]))

    def method_row(self, name: str) -> list[str]:
        """Top-1, test loss, top-1 with batch norms re-estimated, seeds."""
        loss = self.averaged(name, "student", "loss")
        again = self.averaged(name, "reestimated_training", "top1")
        top1s = self.found[name].dropna()
        return [mean(top1s), f"{loss:.3f}", f"{again:.2f}", str(len(top1s))]

    @cached_property
    def corrected(self) -> dict[str, float]:
        """Each fixed contrast's p after Holm."""
        return by_rule.holm(self.found, self.phases)

    def word(self, name: str) -> str:
        return by_rule.word(judged(self.found, name), self.corrected[name])

    def contrast_row(self, name: str) -> list[str]:
        return contrast_row(self.found, name, self.corrected[name])

    def teacher_after(self) -> dict[str, float]:
        """QKD's teacher after co-studying: top-1 and test loss, means over seeds."""
        stages = self.cells[self.cells.method == "qkd"].stage
        assert len(stages) == self.found["qkd"].count()
        found = [teacher_before(self.run, stage) for stage in stages]
        return {name: float(np.mean([one[name] for one in found])) for name in ("top1", "loss")}

    def of_images(self, name: str) -> float:
        """The standard error of a contrast over test images, in points."""
        ours, theirs = (self._right(method).mean(axis=0) for method in name.split(" - "))
        return float(100 * (ours - theirs).std(ddof=1) / np.sqrt(len(ours)))

    def _right(self, method: str) -> np.ndarray:
        """Which answers are right: (seeds, images)."""
        results = self.results(method)
        return np.stack([convert(one["student"], Accuracy).right() for one in results])

    def is_proved(self) -> bool:
        """Whether every student, run as integers, gave its own answers on all test images."""
        proofs = [one["integer"] for name in self.found for one in self.results(name)]
        return all((one["agreement"], one["images"]) == (1, 10_000) for one in proofs)
