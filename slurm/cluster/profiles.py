"""What a cluster gives a job: profiles, from a TOML file of the user's (torch-free).

``CLUSTER=name`` is the table ``[name]`` of slurm/cluster.toml, ``CLUSTER=FILE.toml:name`` that of
another file; ``slurm`` needs no file.
"""

import tomllib
from collections.abc import Container
from pathlib import Path
from typing import Annotated, Any

import msgspec

from qkd.spec import Stage
from qkd.spec.value import Count, Name, Positive, Value, validated

FILE = Path(__file__).resolve().parents[1] / "cluster.toml"
WITHOUT_FILE = "slurm"
REPORT = "report"
# Options of sbatch that other keys set, or that the launcher needs for the order and names of jobs.
OURS = frozenset(
    {
        "account",
        "array",
        "constraint",
        "cpus-per-task",
        "dependency",
        "error",
        "gpus-per-node",
        "job-name",
        "kill-on-invalid-dep",
        "mem",
        "nodes",
        "ntasks-per-node",
        "open-mode",
        "output",
        "partition",
        "qos",
        "signal",
        "time",
    }
)
NotNegativeCount = Annotated[int, msgspec.Meta(ge=0)]


class Resources(Value, kw_only=True):
    """What one job asks for. A stage on several GPUs has a process for each of them.

    ``gpus`` is the number on each of the ``nodes``; 0: the stage trains on a CPU, in one process a
    node. ``cpus`` and ``memory_gb`` are for each GPU, or for the process where there is none.
    """

    hours: Positive = 24.0
    nodes: Count = 1
    gpus: NotNegativeCount = 1
    cpus: Count = 4
    memory_gb: Positive = 16.0

    @property
    def processes(self) -> int:
        """The ranks that train a stage together."""
        return self.nodes * max(1, self.gpus)

    @property
    def minutes(self) -> int:
        """The time limit in minutes, as SLURM takes it."""
        return max(1, round(60 * self.hours))


class Changes(Value, kw_only=True):
    """Resources of some stages, where they differ from the others'."""

    hours: Positive | None = None
    nodes: Count | None = None
    gpus: NotNegativeCount | None = None
    cpus: Count | None = None
    memory_gb: Positive | None = None


class Profile(Resources, kw_only=True):
    """A cluster as a user sees it. Texts that are empty are left to SLURM's own defaults.

    ``setup``: lines of shell before the job's command (modules, say). ``container``: what stands
    before Python's command. ``parallel``: how many jobs of an array run at once. ``requeues``: how
    often a job that ran out of time goes on. ``lost_nodes``: how often a job whose node was lost
    is started again. ``signal_seconds``: how long before its end a job is told to save.
    ``sbatch``: any other option, by its long name (true: it is given, false: it is not).
    ``stages``: other resources for some stages, by the name of their data set or of their phase
    (which wins over the data set's), or for ``report``, the last job.
    """

    partition: str = ""
    account: str = ""
    qos: str = ""
    constraint: str = ""
    setup: tuple[str, ...] = ()
    container: str = ""
    parallel: Count = 64
    requeues: NotNegativeCount = 20
    lost_nodes: NotNegativeCount = 1
    signal_seconds: Count = 120
    sbatch: dict[Name, str | int | bool] = msgspec.field(default_factory=dict)
    stages: dict[Name, Changes] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in self.sbatch:
            if name.replace("_", "-") in OURS:
                raise ValueError(
                    f"sbatch.{name} cannot be set: another key of the table sets it, or the "
                    "launcher does. Take it out"
                )
        for hours in (self.hours, *(changes.hours for changes in self.stages.values())):
            if hours is not None and self.signal_seconds >= 3600 * hours:
                raise ValueError(
                    f"signal_seconds = {self.signal_seconds} must be less than a job's time limit "
                    f"of {hours} hours"
                )

    def resources(self, stage: Stage) -> Resources:
        """What a job of the stage asks for."""
        found = {name: getattr(self, name) for name in Resources.__struct_fields__}
        return self._changed(found, stage.history.data.name, stage.label)

    @property
    def for_report(self) -> Resources:
        """What the last job asks for, which writes the report."""
        return self._changed({"hours": 1.0, "gpus": 0, "cpus": 1, "memory_gb": 4.0}, REPORT)

    def _changed(self, found: dict[str, float], *names: str) -> Resources:
        for name in names:
            changes = msgspec.structs.asdict(self.stages.get(name, Changes()))
            found |= {key: value for key, value in changes.items() if value is not None}
        return msgspec.convert(found, Resources)


def profile(cluster: str) -> Profile:
    """The profile of CLUSTER=.

    Raises ValueError, naming the file and the key: a file that cannot be read, an unknown name, an
    unknown key, a value that the key cannot have.
    """
    other, _, name = cluster.rpartition(":")
    file = Path(other) if other else FILE
    if other and not file.is_file():
        raise ValueError(f"CLUSTER={cluster}: there is no file {file}")
    tables = _tables(file)
    if name not in tables:
        if name == WITHOUT_FILE:
            return Profile()
        names = ", ".join(sorted({WITHOUT_FILE, *tables}))
        raise ValueError(f"CLUSTER={cluster}: {file} has no table [{name}]; it may be {names}")
    try:
        return validated(msgspec.convert(tables[name], Profile))
    except ValueError as error:
        keys = ", ".join(Profile.__struct_fields__)
        raise ValueError(f"{file}, table [{name}]: {error}. The keys are {keys}") from error


def _tables(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ValueError(f"{file} cannot be read: {error}") from error


def without_effect(given: Profile, known: Container[str]) -> list[str]:
    """The names under ``stages`` that fit none of ``known``: another matrix's, or a mistake."""
    return [name for name in given.stages if name != REPORT and name not in known]
