"""What the import rules in pyproject.toml, which `make lint` checks, cannot say."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

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


# Of a file: an import that runs back up, the contract that refuses it, and what that then shows.
BACK_UP = {
    "qkd/spec/value.py": ("import qkd.train", "Layers of qkd", "qkd.spec.value -> qkd.train"),
    "qkd/losses.py": ("from baselines import lsq", "Rooms", "qkd.losses -> baselines.lsq"),
    "benchmarks/ablation.py": (
        "from qkd import losses",
        "What plans, reads and reports needs no torch",
        "benchmarks.ablation -> qkd.losses",
    ),
    "report/build.py": ("import submitit", "Only slurm submits jobs", "report.build -> submitit"),
    "slurm/launch.py": (
        "from tests import conftest",
        "Nothing that is installed needs the tests",
        "slurm.launch -> tests (l.",
    ),
    "slurm/planning/disk.py": (
        "from slurm.local import workers",
        "No folder's files import each other in a circle",
        ".planning -> .local",
    ),
}


def test_imports_that_run_back_up_are_refused(tmp_path):
    for path in (ROOT / "pyproject.toml", *FILES):
        copied = tmp_path / path.relative_to(ROOT)
        copied.parent.mkdir(parents=True, exist_ok=True)
        copied.write_bytes(path.read_bytes())
    for file, (line, _, _) in BACK_UP.items():
        with (tmp_path / file).open("a") as changed:
            changed.write(f"\n\ndef _late():\n    {line}\n")
    command = [sys.executable, Path(sys.executable).with_name("lint-imports"), "--no-cache"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    broken = done.stdout.partition("\nBroken contracts\n")[2]
    headings = re.split(r"^(\S.*)\n-+$", broken, flags=re.MULTILINE)[1:]
    shown = dict(zip(headings[::2], headings[1::2], strict=True))
    for _, contract, chain in BACK_UP.values():
        (text,) = [text for heading, text in shown.items() if heading.startswith(contract)]
        assert chain in text, text


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
