"""Imports point one way, and what is torch-free stays so."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("baselines", "benchmarks", "qkd", "report", "slurm")
FILES = sorted(file for room in ROOMS for file in (ROOT / room).rglob("*.py"))

# What a room may import of the others; "qkd" is all of it.
TORCH_FREE_QKD = {
    "qkd.spec", "qkd.phases", "qkd.marks", "qkd.records", "qkd.data.standard",
    "qkd.weights.published",
}  # fmt: skip
MAY = {
    "qkd": set(),
    "baselines": {"qkd"},
    "benchmarks": {"baselines.methods", *TORCH_FREE_QKD},
    "benchmarks.speed": {"qkd"},
    "slurm": {"benchmarks", "qkd"},
    "report": {"benchmarks", *TORCH_FREE_QKD},
}

TORCH_FREE = [
    "baselines.methods",
    *(f"qkd.{name}" for name in (
        "spec", "spec.value", "spec.data", "spec.networks", "spec.methods", "spec.history",
        "phases", "schedules", "marks", "imports", "records", "records.record", "records.lock",
        "records.files", "training.runtime", "weights.files", "weights.published",
        "data.standard", "data.photos.files", "data.photos.index", "data.readers.imagenet",
        "data.cache",
    )),
    *(
        ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for file in FILES
        if file.relative_to(ROOT).parts[0] in ("benchmarks", "report")
    ),
]  # fmt: skip


def imported(file):
    """The modules and names that a file imports, wherever in it: ``package.module[.name]``."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def is_within(name, allowed):
    return any(name == one or name.startswith(one + ".") for one in allowed)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_imports_point_one_way(file):
    room = file.relative_to(ROOT).parts[0]
    for name in imported(file):
        package = name.partition(".")[0]
        if package in ROOMS and package != room:
            assert is_within(name, MAY[room]), name
        assert package != "tests", name
        if package == "submitit":
            assert room == "slurm", name


@pytest.mark.parametrize("module", TORCH_FREE)
def test_what_is_torch_free_names_no_torch(module):
    file = ROOT / (module.replace(".", "/") + ".py")
    names = imported(file) if file.exists() else ()
    assert not [name for name in names if is_within(name, ("torch", "torchvision"))]


def test_what_is_torch_free_imports_no_torch():
    code = (
        "import importlib, sys\n"
        f"for name in {TORCH_FREE!r}:\n"
        "    importlib.import_module(name)\n"
        "    assert not {'torch', 'torchvision'} & set(sys.modules), name\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)  # noqa: PLW1510
    assert done.returncode == 0, done.stderr


def test_every_file_is_one_idea_long():
    tests = sorted((ROOT / "tests").glob("*.py"))
    lengths = {f.relative_to(ROOT): len(f.read_text().splitlines()) for f in (*FILES, *tests)}
    assert {str(file): length for file, length in lengths.items() if length >= 320} == {}


def test_every_package_is_installed():
    folders = {".".join(file.parent.relative_to(ROOT).parts) for file in FILES}
    text = (ROOT / "pyproject.toml").read_text()
    assert not [folder for folder in folders if f'"{folder}"' not in text]


def test_no_file_names_a_place_of_one_machine():
    outside = ["/" + "work/", "/" + "home/", "/" + "root/"]
    tests = sorted((ROOT / "tests").glob("*.py"))
    found = [f.name for f in (*FILES, *tests) if any(place in f.read_text() for place in outside)]
    assert found == []
