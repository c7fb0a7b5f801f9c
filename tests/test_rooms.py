"""What the import rules in pyproject.toml, which `make lint` checks, cannot say."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from setuptools import find_packages

ROOT = Path(__file__).parents[1]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
RULES = SETTINGS["importlinter"]
ROOMS = RULES["root_packages"]
FILES = sorted(file for room in ROOMS for file in (ROOT / room).rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
MODULES = [
    ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for file in FILES
]


def sources(forbidden):
    """The modules that a contract keeps from importing ``forbidden``, its wildcards written out."""
    (contract,) = (c for c in RULES["contracts"] if forbidden in c.get("forbidden_modules", ()))
    found = []
    for expression in contract["source_modules"]:
        pattern = re.escape(expression).replace(r"\*\*", r".+").replace(r"\*", r"[^.]+")
        matching = [module for module in MODULES if re.fullmatch(pattern, module)]
        assert matching, expression
        found += matching
    return found


def test_what_is_torch_free_imports_no_torch():
    modules = sources("torch")
    assert {"qkd.spec.history", "report.build", "benchmarks.matrix"} <= set(modules)
    code = (
        "import importlib, sys\n"
        f"for name in {modules!r}:\n"
        "    importlib.import_module(name)\n"
        "    assert not {'torch', 'torchvision'} & set(sys.modules), name\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("file", "line", "contract"),
    [
        ("qkd/spec/value.py", "import qkd.train", "Layers of qkd"),
        ("qkd/losses.py", "from baselines import lsq", "Rooms"),
        ("benchmarks/ablation.py", "from qkd import losses", "needs no torch"),
        ("report/build.py", "import submitit", "Only slurm submits jobs"),
        ("slurm/launch.py", "from tests import conftest", "needs the tests"),
        ("slurm/planning/disk.py", "from slurm.local import workers", "in a circle"),
    ],
)
def test_an_import_that_runs_back_up_is_refused(tmp_path, file, line, contract):
    for path in (ROOT / "pyproject.toml", *FILES):
        copied = tmp_path / path.relative_to(ROOT)
        copied.parent.mkdir(parents=True, exist_ok=True)
        copied.write_bytes(path.read_bytes())
    with (tmp_path / file).open("a") as changed:
        changed.write(f"\n\ndef _late():\n    {line}\n")
    command = [sys.executable, Path(sys.executable).with_name("lint-imports"), "--no-cache"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    broken = [text for text in done.stdout.splitlines() if " BROKEN" in text]
    assert done.returncode == 1, done.stdout + done.stderr
    assert any(contract in text for text in broken), done.stdout


def test_every_file_is_one_idea_long():
    lengths = {f.relative_to(ROOT): len(f.read_text().splitlines()) for f in (*FILES, *TESTS)}
    assert {str(file): length for file, length in lengths.items() if length >= 320} == {}


def test_every_package_is_installed():
    folders = {".".join(file.parent.relative_to(ROOT).parts) for file in FILES}
    include = SETTINGS["setuptools"]["packages"]["find"]["include"]
    assert set(find_packages(str(ROOT), include=include)) == folders


def test_no_file_names_a_place_of_one_machine():
    outside = ["/" + "work/", "/" + "home/", "/" + "root/"]
    found = [
        str(file.relative_to(ROOT))
        for file in (*FILES, *TESTS)
        if any(place in file.read_text() for place in outside)
    ]
    assert found == []
