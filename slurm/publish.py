"""Copies a run's records to where they can be committed: python -m slurm.publish RESULTS TO.

The whole run as small JSON files: without logs, by default without weights, and without what names
a machine (its host, its folders). Pre-trained networks that the run read from elsewhere are not
copied.
"""

import argparse
import json
import re
import shutil
from pathlib import Path
from typing import Any

from qkd.records.files import write_atomically
from qkd.records.launches import FILE as LAUNCHES
from qkd.records.record import STAGES, Record, State
from slurm.planning.matrices import MATRICES

COPIED = ("stage.json", "metrics.jsonl", "histograms.json", "result.json", "failed.json")
PRIVATE = ("host", "platform", "command", "data", "job")
ABSOLUTE_SOURCE = re.compile(r'("source": "file:)(?:/|\.\./)(?:[^"]*/)?(?=[^"/]+")')


def publish(results: Path, target: Path, weights: bool = False) -> int:
    """Copies the matrices and every record that is done or failed; returns how many records.

    ``weights``: the checkpoints too, for pre-trained networks that others begin with.
    """
    if (results / MATRICES).exists():
        shutil.copytree(results / MATRICES, target / MATRICES, dirs_exist_ok=True)
        for file in (target / MATRICES).glob("*.json"):
            _without_folders(file)
    if (results / LAUNCHES).exists():
        shutil.copyfile(results / LAUNCHES, target / LAUNCHES)
    copied = (*COPIED, "checkpoint.pt") if weights else COPIED
    count = 0
    for folder in sorted((results / STAGES).iterdir()):
        record = Record(folder)
        if record.state() not in (State.DONE, State.FAILED):
            continue
        copy = target / STAGES / folder.name
        copy.mkdir(parents=True, exist_ok=True)
        for name in copied:
            if (folder / name).exists():
                shutil.copyfile(folder / name, copy / name)
        _without_folders(copy / "stage.json")
        if record.code_file.exists():
            code = _without_places(record.read_json(record.code_file))
            record.write_json(copy / record.code_file.name, code)
        environment = _without_machine(record.read_json(record.environment_file))
        text = json.dumps(environment, indent=2, sort_keys=True)
        write_atomically(copy / "env.json", text.encode() + b"\n")
        count += 1
    return count


def _without_folders(file: Path) -> None:
    """Leaves of a path of ready weights outside the data folder the file's name; no id changes."""
    text = file.read_text()
    shorter = ABSOLUTE_SOURCE.sub(r"\1", text)
    if shorter != text:
        write_atomically(file, shorter.encode())


def _without_places(code: dict[str, Any]) -> dict[str, Any]:
    """The digests of a user's files, without where they lay."""
    return {"files": [{**file, "name": Path(file["name"]).name} for file in code["files"]]}


def _without_machine(environment: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in environment.items() if name not in PRIVATE}


def main() -> None:
    """Publishes one results folder."""
    parser = argparse.ArgumentParser(description="Copies a run's records, fit to be committed.")
    parser.add_argument("results", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--weights", action="store_true", help="the checkpoints too")
    arguments = parser.parse_args()
    count = publish(arguments.results, arguments.target, arguments.weights)
    print(f"{count} records -> {arguments.target}")


if __name__ == "__main__":
    main()
