"""The committed sha256 of the first steps, and what a process of its own ends in.

python -m tests.support.literals writes them anew.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import torch

from qkd.training.portable import VARIABLES
from tests.support.launching import ROOT

FILE = Path(__file__).with_name("first_steps.json")
LITERALS = json.loads(FILE.read_text()) if FILE.exists() else {}
SECONDS = 3 * 3600


def environment(variables):
    """Ours, without the three that choose an arithmetic but for those given."""
    kept = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    return {**kept, **variables}


def first_steps(*emulator, names=(), variables=None):
    """By case and phase the sha256 of the weights, with PORTABLE=1 unless variables are given."""
    flag = ["--portable"] if variables is None else []
    command = [*emulator, sys.executable, "-m", "tests.support.first_steps", *flag, *names]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=environment(VARIABLES if variables is None else variables),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = {}
    for line in done.stdout.splitlines():
        found |= json.loads(line)
    return found


def differences(found):
    """Which cases differ from the literals, and in which phase first; another torch differs in all,
    and is named."""
    here = str(torch.__version__).partition("+")[0]
    if here != LITERALS["torch"]:
        return [f"torch is {here}, the literals are those of {LITERALS['torch']}"]
    known = LITERALS["cases"]
    assert found.keys() == known.keys()
    return [
        f"{name}: from {next(key for key in known[name] if found[name][key] != known[name][key])}"
        for name in known
        if found[name] != known[name]
    ]


if __name__ == "__main__":
    version = str(torch.__version__).partition("+")[0]
    content = {"torch": version, "cases": first_steps()}
    FILE.write_text(json.dumps(content, indent=1) + "\n")
