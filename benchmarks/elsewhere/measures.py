"""The time of one image, quantized against float32, on the programs that people run."""

import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.elsewhere.figures import Latency
from benchmarks.speed.steps import CASES, Case, network_of, quantized
from benchmarks.speed.timing import Times, in_turn
from qkd.export.choice import CONSUMERS, graphs
from qkd.export.consumers.session import Consumer, Session
from qkd.spec import Bits

BITS = (2, 4, 8)
# What a user meets, and computes what was trained; the others are for comparison only.
MEASURED = ("onnxruntime, ENABLE_ALL", "OpenVINO, f32")
IMAGES = 1
LEAST_SECONDS = 0.02  # of one timing: a shorter one is repeated


def latencies(skipped: dict[str, str], cases: tuple[Case, ...] = CASES) -> Iterator[Latency]:
    """Each network, bits, form and consumer against the consumer's own float32.

    What could not be measured is added to ``skipped`` with its reason.
    """
    consumers = [one for one in CONSUMERS if one.name in MEASURED and _is_there(one, skipped)]
    for case in cases:
        shape = case.shape[1:]
        floating = graphs(network_of(case, torch.device("cpu")), shape).files["onnx"]
        images = np.random.default_rng(0).standard_normal((IMAGES, *shape)).astype(np.float32)
        for bits in BITS:
            network = quantized(case, torch.device("cpu"), bits=Bits(weight=bits, activation=bits))
            files = graphs(network, shape).files
            for consumer in consumers:
                base = consumer.open(floating)
                for form in (one for one in consumer.forms if one in files):
                    session = consumer.open(files[form])
                    found = _latency(_in_turn(base, session, images), consumer, session)
                    yield msgspec.structs.replace(
                        found,
                        network=case.name,
                        bits=f"W{bits}A{bits}",
                        form=form,
                        size=len(files[form]),
                        float_size=len(floating),
                    )


def _is_there(consumer: Consumer, skipped: dict[str, str]) -> bool:
    try:
        consumer.version()
    except ImportError as error:
        skipped[consumer.name] = f"{error}: make consumers installs it"
        return False
    return True


def _in_turn(base: Session, other: Session, images: NDArray[Any]) -> Times:
    """Both on the same images, repeated until each timing is long enough."""

    def repeated(session: Session) -> Callable[[], None]:
        session.run(images)
        began = time.perf_counter()
        session.run(images)
        once = time.perf_counter() - began
        count = max(1, round(LEAST_SECONDS / max(once, 1e-6)))
        counts.append(count)

        def work() -> None:
            for _ in range(count):
                session.run(images)

        return work

    counts: list[int] = []
    times = in_turn(repeated(base), repeated(other))
    return Times(
        [seconds / counts[0] for seconds in times.base],
        [seconds / counts[1] for seconds in times.other],
    )


def _latency(times: Times, consumer: Consumer, session: Session) -> Latency:
    """What was timed; of which network and form, the caller says."""
    low, middle, high = statistics.quantiles(times.ratios, n=4, method="inclusive")
    return Latency(
        network="",
        bits="",
        form="",
        consumer=consumer.name,
        version=consumer.version(),
        images=IMAGES,
        ratio=middle,
        low=low,
        high=high,
        float_milliseconds=1000 * statistics.median(times.base),
        size=0,
        float_size=0,
        integer_layers=session.integer_layers,
        layers=session.layers,
    )
