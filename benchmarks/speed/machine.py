"""Which machine was measured on."""

import re
import time

import torch

from benchmarks.speed.figures import Machine
from qkd.training import environment
from qkd.training.runtime import Runtime, cores


def machine_of(runtime: Runtime, device: torch.device) -> Machine:
    """The machine that this is, under a name that can be a file's."""
    known = environment.describe(runtime, device)
    count = cores()
    words = re.sub(r"[^a-z0-9]+", "-", f"{known.device_name} {count} cores".lower()).strip("-")
    return Machine(
        name=words[:60],
        processor=known.device_name,
        vendor=known.vendor,
        family=known.family,
        model=known.model,
        stepping=known.stepping,
        device=known.device,
        cores=count,
        threads=runtime.threads,
        torch=known.torch,
        commit=known.commit,
        dirty=known.dirty,
        date=time.strftime("%Y-%m-%d", time.gmtime()),
    )
