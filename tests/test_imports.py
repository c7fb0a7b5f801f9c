import sys

import pytest

from qkd.imports import load_file, resolve
from qkd.losses import cross_entropy


def test_our_own_names_are_found():
    assert resolve("qkd.losses:cross_entropy") is cross_entropy


@pytest.mark.parametrize(
    "path",
    ["os:system", "subprocess:run", "builtins:eval", "qkdevil:x", "qkd_x.a:b", ".qkd:x", ":x", ""],
)
def test_names_outside_our_packages_are_refused_unseen(path):
    before = set(sys.modules)
    with pytest.raises(ValueError, match=r"lies outside baselines, benchmarks, qkd"):
        resolve(path)
    assert set(sys.modules) == before


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("qkd.nothing:x", r"there is no module qkd\.nothing"),
        ("qkd.models.nothing.more:x", r"there is no module qkd\.models\.nothing\.more"),
        ("qkd.losses:hinge", r"module qkd\.losses has no 'hinge'"),
        ("qkd.losses:", r"has no ''"),
        ("qkd.losses", r"has no ''"),
        ("qkd.losses:torch.nn", r"has no 'torch\.nn'"),
    ],
)
def test_names_that_are_not_there_are_errors(path, message):
    with pytest.raises(ValueError, match=message):
        resolve(path)


def test_a_users_file_may_be_named_once_it_is_loaded(user_file):
    path = user_file("my_networks.py", "def net(n):\n    return n + 1\n")
    with pytest.raises(ValueError, match=r"MATRIX=path/to/FILE\.py"):
        resolve("my_networks:net")
    module = load_file(path)
    assert resolve("my_networks:net")(1) == 2
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
    assert resolve("twice_there:x") == 1


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"there is no matrix file .*gone\.py"):
        load_file(tmp_path / "gone.py")


def test_a_file_that_fails_leaves_no_module(user_file):
    path = user_file("broken_matrix.py", "1 / 0\n")
    with pytest.raises(ZeroDivisionError):
        load_file(path)
    assert "broken_matrix" not in sys.modules
    with pytest.raises(ValueError, match="lies outside"):
        resolve("broken_matrix:x")


def test_an_import_that_fails_inside_a_module_is_its_own_error(user_file):
    path = user_file("needy_matrix.py", "import nowhere_at_all\n")
    with pytest.raises(ModuleNotFoundError, match="nowhere_at_all"):
        load_file(path)
