"""Every consumer beside the fake-quantized network, on the same images.

Two ways to sum the same products round differently. A value on a rounding edge then falls either
way, and moves an image's logits by much; most images have no such value. So a consumer is judged by
the median image: it must lie as near to the network as the network in float32 does to itself in
float64, but for a factor. And its answers must be the network's on nearly all images.
"""

import copy
import time
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from qkd.export.consumers.session import Consumer, Refused, Session, first_line
from qkd.export.known import known_wrong
from qkd.export.told import Trial

LEAST_AGREEMENT = 0.99
ROUNDINGS = 10.0  # how many times the network's own rounding the median image may be off
SPREAD = 1e-4  # and always this share of the distance between its largest and smallest logit
EXACT_IMAGES = 500
Batches = Iterable[tuple[Tensor, Tensor]]


class Compared(NamedTuple):
    """What was found on so many images: the network's top-1 in percent, its own rounding, and a
    trial for each form and consumer."""

    images: int
    top1: float
    rounding: float
    trials: tuple[Trial, ...]


class _Running:
    """A consumer with a file open, and what it has said so far."""

    def __init__(self, form: str, consumer: Consumer, version: str, session: Session) -> None:
        self.form, self.consumer, self.version, self.session = form, consumer, version, session
        self.equal: list[NDArray[np.bool_]] = []
        self.apart: list[NDArray[Any]] = []
        self.seconds = 0.0
        self.error = ""

    def see(self, images: NDArray[Any], logits: NDArray[Any]) -> None:
        """Runs a batch, unless its time is over or an earlier batch failed."""
        if self.error or self.seconds > self.consumer.most_seconds:
            return
        began = time.monotonic()
        try:
            found = self.session.run(images)
        except Exception as error:  # a library's: any
            self.error = first_line(error)
            return
        self.seconds += time.monotonic() - began
        if found.shape != logits.shape or not np.isfinite(found).all():
            self.error = f"its logits are {list(found.shape)}, or no numbers"
            return
        self.equal.append(found.argmax(1) == logits.argmax(1))
        self.apart.append(np.abs(found - logits).max(1))

    def trial(self, most: float) -> Trial:
        """What came of it; the median image may be off by ``most``."""
        if self.error or not self.apart:
            return self._told("refused", self.error or "there were no images")
        equal, apart = np.concatenate(self.equal), np.concatenate(self.apart)
        found = {
            "images": len(equal),
            "agreement": float(equal.mean()),
            "largest": float(apart.max()),
            "median": float(np.median(apart)),
        }
        if found["agreement"] >= LEAST_AGREEMENT and found["median"] <= most:
            return self._told("agrees", self.consumer.advice, **found)
        why = known_wrong(self.consumer.name, self.version)
        if why:
            return self._told("known wrong", why, **found)
        return self._told("wrong", "it does not compute what was trained", **found)

    def _told(self, verdict: Any, note: str, **found: Any) -> Trial:
        return Trial(
            form=self.form,
            consumer=self.consumer.name,
            version=self.version,
            layers=self.session.layers,
            integer_layers=self.session.integer_layers,
            verdict=verdict,
            note=note,
            **found,
        )


@torch.inference_mode()
def compare(
    network: nn.Module, files: dict[str, bytes], consumers: Iterable[Consumer], batches: Batches
) -> Compared:
    """Runs every installed consumer on every form that it is for.

    Args:
        network: the fake-quantized network, in eval mode and contiguous.
        files: the forms' files by name.
        consumers: those to try.
        batches: images, float32 (batch, C, H, W), and labels.
    """
    running, trials = _opened(files, consumers)
    exact = copy.deepcopy(network).double()
    images = right = 0
    spread: list[NDArray[Any]] = []
    rounding: list[NDArray[Any]] = []
    for given, labels in batches:
        pixels = given.contiguous()
        logits = network(pixels).numpy()
        right += int((logits.argmax(1) == labels.numpy()).sum())
        spread.append(logits.max(1) - logits.min(1))
        if images < EXACT_IMAGES:
            rounding.append(np.abs(exact(pixels.double()).numpy() - logits).max(1))
        images += len(labels)
        for one in running:
            one.see(pixels.numpy(), logits)
    own = float(np.median(np.concatenate(rounding)))
    most = max(ROUNDINGS * own, SPREAD * float(np.median(np.concatenate(spread))))
    trials += [one.trial(most) for one in running]
    order = {name: place for place, name in enumerate(files)}
    trials.sort(key=lambda trial: order[trial.form])
    return Compared(images, 100 * right / images, own, tuple(trials))


def _opened(
    files: dict[str, bytes], consumers: Iterable[Consumer]
) -> tuple[list[_Running], list[Trial]]:
    """Every consumer that took a file, and trials of those that did not."""
    running, trials = [], []
    for consumer in consumers:
        for form in (one for one in consumer.forms if one in files):
            version = ""
            try:
                version = consumer.version()
                session = consumer.open(files[form])
            except ImportError as error:
                note = f"{first_line(error)}: make consumers installs it"
                trials.append(_untried(form, consumer, version, "not installed", note))
            except Refused as error:
                why = known_wrong(consumer.name, version)
                verdict = "known wrong" if why else "refused"
                trials.append(_untried(form, consumer, version, verdict, why or str(error)))
            else:
                running.append(_Running(form, consumer, version, session))
    return running, trials


def _untried(form: str, consumer: Consumer, version: str, verdict: Any, note: str) -> Trial:
    return Trial(form=form, consumer=consumer.name, version=version, verdict=verdict, note=note)
