import os
import sys
from pathlib import Path

import pytest

from qkd.imports import (
    FACTORIES,
    LOSSES,
    READERS,
    load_file,
    names_user_code,
    resolve,
    user_modules,
)
from qkd.losses import cross_entropy


def test_our_own_names_are_found():
    assert resolve("qkd.losses:cross_entropy", LOSSES) is cross_entropy


@pytest.mark.parametrize(
    "path",
    ["os:system", "subprocess:run", "builtins:eval", "qkdevil:x", "qkd_x.a:b", ".qkd:x", ":x", ""],
)
def test_names_outside_our_packages_are_refused_unseen(path):
    before = set(sys.modules)
    with pytest.raises(ValueError, match=r"lies outside qkd\.losses, baselines"):
        resolve(path, LOSSES)
    assert set(sys.modules) == before


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("baselines.nothing:x", r"there is no module baselines\.nothing"),
        ("qkd.losses.nothing:x", r"there is no module qkd\.losses\.nothing"),
        ("qkd.losses:hinge", r"module qkd\.losses has no 'hinge'"),
        ("qkd.losses:", r"has no ''"),
        ("qkd.losses", r"has no ''"),
        ("qkd.losses:torch.nn", r"has no 'torch\.nn'"),
    ],
)
def test_names_that_are_not_there_are_errors(path, message):
    with pytest.raises(ValueError, match=message):
        resolve(path, LOSSES)


@pytest.mark.parametrize(
    ("path", "within"),
    [
        ("qkd.data.cache:_remove", READERS),
        ("qkd.data.cache:np", READERS),
        ("qkd.losses:functional", LOSSES),
        ("qkd.data.fetch:fetch_fashion_mnist", FACTORIES),
        ("qkd.models.resnet_cifar:resnet", READERS),
    ],
)
def test_a_record_reaches_no_private_borrowed_or_misplaced_function(path, within):
    with pytest.raises(ValueError, match=r"lies outside|is not a public object"):
        resolve(path, within)


def test_a_users_file_in_the_current_folder_is_no_other_module(user_file, monkeypatch):
    path = user_file("here_as_well.py", "x = 1\n")
    monkeypatch.chdir(path.parent)
    monkeypatch.syspath_prepend(".")
    assert load_file(path).x == 1


def test_a_users_file_may_be_named_once_it_is_loaded(user_file):
    path = user_file("my_networks.py", "def net(n):\n    return n + 1\n")
    with pytest.raises(ValueError, match=r"MATRIX=path/to/FILE\.py"):
        resolve("my_networks:net", FACTORIES)
    module = load_file(path)
    assert resolve("my_networks:net", FACTORIES)(1) == 2
    assert load_file(path) is module


def test_a_users_file_may_not_take_the_place_of_another_module(user_file):
    for name in ("json.py", "qkd.py", "torch.py"):
        with pytest.raises(ValueError, match="is the name of another Python module"):
            load_file(user_file(name, ""))
    with pytest.raises(ValueError, match="rename the file"):
        load_file(user_file("not-a-name.py", ""))


def test_a_second_file_of_the_same_name_is_refused(user_file, tmp_path):
    load_file(user_file("twice_there.py", "x = 1\n"))
    (tmp_path / "sub").mkdir()
    other = tmp_path / "sub" / "twice_there.py"
    other.write_text("x = 2\n")
    with pytest.raises(ValueError, match=r"name of another|__spec__"):
        load_file(other)
    assert resolve("twice_there:x", FACTORIES) == 1


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"there is no matrix file .*gone\.py"):
        load_file(tmp_path / "gone.py")


def test_a_file_that_fails_leaves_no_module(user_file):
    path = user_file("broken_matrix.py", "1 / 0\n")
    with pytest.raises(ZeroDivisionError):
        load_file(path)
    assert "broken_matrix" not in sys.modules
    with pytest.raises(ValueError, match="lies outside"):
        resolve("broken_matrix:x", FACTORIES)


def test_an_import_that_fails_inside_a_module_is_its_own_error(user_file):
    path = user_file("needy_matrix.py", "import nowhere_at_all\n")
    with pytest.raises(ModuleNotFoundError, match="nowhere_at_all"):
        load_file(path)


def test_a_file_may_import_what_lies_beside_it(user_file, tmp_path):
    user_file("helper_of_mine.py", "WIDTH = 7\n")
    (tmp_path / "parts_of_mine").mkdir()
    (tmp_path / "parts_of_mine" / "__init__.py").write_text("from .depth import DEPTH\n")
    (tmp_path / "parts_of_mine" / "depth.py").write_text("DEPTH = 3\n")
    text = "from helper_of_mine import WIDTH\nimport parts_of_mine\nDEPTH = parts_of_mine.DEPTH\n"
    module = load_file(user_file("helped_matrix.py", text))
    assert (module.WIDTH, module.DEPTH) == (7, 3)
    found = {Path(one.__file__).name: is_matrix for one, is_matrix in user_modules().items()}
    assert found == {
        "helped_matrix.py": True, "helper_of_mine.py": False,
        "__init__.py": False, "depth.py": False,
    }  # fmt: skip


def test_what_lies_beside_a_file_hides_no_other_module(user_file):
    user_file("packaging.py", "raise SystemExit('hidden')\n")
    with pytest.raises(ValueError, match=r"would not get .*packaging\.py: .*rename the file"):
        load_file(user_file("hiding_matrix.py", "import packaging.version\n"))
    assert load_file(user_file("modest_matrix.py", "import msgspec\nX = 1\n")).X == 1


def test_a_helper_of_the_same_name_in_another_folder_is_not_taken_for_the_own_one(
    user_file, tmp_path
):
    user_file("shared_name.py", "X = 1\n")
    load_file(user_file("first_matrix.py", "from shared_name import X\n"))
    other = tmp_path / "other"
    other.mkdir()
    (other / "shared_name.py").write_text("X = 2\n")
    (other / "second_matrix.py").write_text("from shared_name import X\n")
    with pytest.raises(ValueError, match=r"would not get .*other/shared_name\.py"):
        load_file(other / "second_matrix.py")


def test_a_file_runs_as_it_stands_and_nothing_is_written_beside_it(user_file):
    path = user_file("edited_matrix.py", "X = 1\n")
    stamp = path.stat()
    assert load_file(path).X == 1
    del sys.modules["edited_matrix"]
    path.write_text("X = 2\n")  # of the same size, and within the same second
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert load_file(path).X == 2
    assert [file.name for file in path.parent.iterdir()] == ["edited_matrix.py"]


def test_modules_of_ours_pythons_and_installed_ones_are_no_users(user_file):
    load_file(user_file("plain_matrix.py", "import wave\nimport qkd.schedules\nimport jinja2\n"))
    assert [module.__name__ for module in user_modules()] == ["plain_matrix"]


@pytest.mark.parametrize(
    ("path", "is_users"),
    [("mine:net", True), ("qkd_own:x", True), ("qkd.losses:x", False), ("baselines:X", False)],
)
def test_whose_code_a_name_is_of(path, is_users):
    assert names_user_code(path) is is_users
