"""What a command changes of its process, where it runs in one that goes on."""

import os
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import torch

from qkd import imports


@contextmanager
def imports_as_before() -> Iterator[None]:
    """What may be imported, and what of a user's was, is afterwards as it was."""
    allowed, loaded, path = set(imports._loaded), set(sys.modules), list(sys.path)
    try:
        yield
    finally:
        imports._loaded.intersection_update(allowed)
        sys.path[:] = path
        for name, module in list(sys.modules.items()):
            ours = name in loaded or name.startswith("tests.")
            if not ours and imports._is_a_users(module):
                del sys.modules[name]


@contextmanager
def torch_as_before() -> Iterator[None]:
    """torch's threads and its choice of algorithms are afterwards as they were."""
    threads = torch.get_num_threads()
    deterministic = torch.are_deterministic_algorithms_enabled()
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(deterministic)


@contextmanager
def like_a_process(environment: Mapping[str, str], folder: Path, *command: str) -> Iterator[None]:
    """Within, this process has the environment, the current folder and the arguments of another
    one that begins; the user's modules are imported anew."""
    terminated, here, first = signal.getsignal(signal.SIGTERM), Path.cwd(), set(imports._ours)
    imports._ours.clear()
    os.chdir(folder)
    try:
        with (
            patch.dict(os.environ, environment, clear=True),
            patch.object(sys, "argv", list(command)),
            imports_as_before(),
            torch_as_before(),
        ):
            yield
    finally:
        os.chdir(here)
        signal.signal(signal.SIGTERM, terminated)
        imports._ours.clear()
        imports._ours.update(first)
