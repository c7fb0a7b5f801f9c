"""Several ranks on this machine: processes of their own, as torchrun sets them up, over gloo."""

import os
import socket
import sys
from typing import NamedTuple

import torch

from tests.support.small import processes

SECONDS = 240


class End(NamedTuple):
    """How a rank ended: what it returned, or the name and text of what it raised; how it exited."""

    returned: object = None
    raised: str = ""
    text: str = ""
    exit_code: int | None = None


def variables(rank, world, port):
    """What torchrun says to a process."""
    return {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(world),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def torchrun(stage_file, results, runtime):
    """The command that trains a stage in two ranks."""
    launch = ["-m", "torch.distributed.run", "--nproc-per-node", "2"]
    place = ["--master-addr", "127.0.0.1", "--master-port", str(free_port())]
    stage = ["-m", "qkd.train", str(stage_file), "--device", "cpu"]
    folders = ["--results", str(results), "--data", runtime.data]
    return [sys.executable, *launch, *place, *stage, *folders]


def _rank(pipe, environment, work, arguments):
    os.environ.update(environment)
    torch.set_num_threads(1)
    try:
        pipe.send(End(work(*arguments)))
    except Exception as error:
        pipe.send(End(None, type(error).__name__, str(error)))


def together(work, *arguments, world=2):
    """Calls ``work(*arguments)`` in each of ``world`` ranks; returns how each ended."""
    port = free_port()
    running = []
    for rank in range(world):
        ours, theirs = processes.Pipe(duplex=False)
        given = (theirs, variables(rank, world, port), work, arguments)
        process = processes.Process(target=_rank, args=given, daemon=True)
        process.start()
        theirs.close()
        running.append((process, ours))
    return [_ended(*one) for one in running]


def _ended(process, pipe):
    try:
        assert pipe.poll(SECONDS), "a rank hangs"
        end = pipe.recv()
    except EOFError:  # killed
        end = End()
    finally:
        process.join(SECONDS / 8)
        if process.is_alive():
            process.kill()
            process.join()
    return end._replace(exit_code=process.exitcode)
