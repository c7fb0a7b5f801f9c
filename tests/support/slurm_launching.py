"""Launches on the tests' SLURM: as a user's commands do, with a profile of the test's own."""

import json
import time
from collections.abc import Callable
from pathlib import Path

from tests.support import launching
from tests.support.cluster import Cluster

PATIENT = str(Path(__file__).with_name("patient_matrix.py"))
BASE = {"hours": 1, "gpus": 0, "cpus": 1, "memory_gb": 1}


def toml(value: object) -> str:
    """A value as TOML has it."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {toml(item)}" for key, item in value.items()) + "}"
    return json.dumps(value)


class Launcher:
    """The commands on one results folder, with one profile."""

    def __init__(self, cluster: Cluster, folder: Path, data: Path, **profile: object) -> None:
        self.cluster, self.data = cluster, data
        self.folder, self.results = folder, folder / "results"
        self.variables = {"MATRIX": PATIENT, "REPORT": str(folder / "report" / "index.html")}
        self.profile(**profile)

    def profile(self, **changes: object) -> None:
        """Writes the profile anew, with changes."""
        lines = [f"{key} = {toml(value)}" for key, value in {**BASE, **changes}.items()]
        file = self.folder / "cluster.toml"
        file.write_text("\n".join(["[tests]", *lines, ""]))
        self.variables["CLUSTER"] = f"{file}:tests"

    def start(self, command: str, **variables: str):
        """A command, begun in a process of its own."""
        given = {**self.variables, **variables}
        return launching.start(command, self.results, self.data, self.cluster.environment, **given)

    def run(self, command: str, **variables: str) -> tuple[int, str]:
        """A command's exit code and what it printed."""
        given = {**self.variables, **variables}
        return launching.launch(command, self.results, self.data, self.cluster.environment, **given)

    def statuses(self, **variables: str) -> dict[str, int]:
        """How many stages stand how, as ``status`` counts them."""
        code, output = self.run("status", **variables)
        assert code == 0, output
        lines = (line.split(maxsplit=1) for line in output.splitlines() if line[:5].strip())
        return {words[1]: int(words[0]) for words in lines if words[0].isdecimal()}

    def is_at_work(self) -> bool:
        """Whether a stage has been trained for some steps and goes on."""
        return any(
            (folder / "metrics.jsonl").exists() and not (folder / "result.json").exists()
            for folder in launching.stage_folders(self.results)
        )

    def until(self, condition: Callable[[], bool], seconds: float = 600.0) -> None:
        """Waits; fails with the queue and the jobs' logs where it takes too long."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                logs = (file.read_text() for file in self.results.glob("jobs/*/*_log.*"))
                raise AssertionError("\n".join([str(self.cluster.queue()), *logs]))
            time.sleep(0.2)

    def until_empty(self) -> None:
        """Waits until no job is left."""
        self.until(lambda: not self.cluster.queue())

    def until_trained(self) -> None:
        """Waits until no stage's job is left; the report's may be."""
        self.until(lambda: all("-report-" in job["name"] for job in self.cluster.queue()))

    def running(self) -> list[str]:
        """The ids of jobs that run."""
        return [job["id"] for job in self.cluster.queue() if job["state"] == "RUNNING"]
