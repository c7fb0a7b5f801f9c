"""Where and how a stage runs: recorded, never part of a history (torch-free)."""

from typing import Literal

from qkd.value import Count, NotNegative, Value


class Runtime(Value, kw_only=True):
    """Folders and the device.

    ``data`` is the folder of the data sets, ``matrix_file`` a user's matrix that specs may name
    ("": none), ``save_seconds`` the longest training that a kill can cost. ``compile`` compiles
    the training step, which changes the last bits of numbers: recorded, and kept on resuming.
    """

    data: str = "data"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    device_index: int = 0
    threads: Count = 1
    save_seconds: NotNegative = 60.0
    compile: bool = False
    matrix_file: str = ""
    job: str = ""
