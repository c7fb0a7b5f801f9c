import gzip
import hashlib
import shutil
import struct
import subprocess
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import numpy as np
import pytest

torchvision = pytest.importorskip("torchvision")

from qkd.data.fetch import FILES, PACKAGE_FOLDER, fetch_fashion_mnist  # noqa: E402
from qkd.data.images import DataError  # noqa: E402
from qkd.data.readers import fashion_mnist  # noqa: E402

SHAPES = dict(zip(FILES, ((3, 28, 28), (3,), (2, 28, 28), (2,)), strict=True))
needs_dpkg = pytest.mark.skipif(not shutil.which("dpkg-deb"), reason="no dpkg-deb here")


def write_files(place):
    place.mkdir(parents=True)
    for name, shape in SHAPES.items():
        header = bytes([0, 0, 8, len(shape)]) + struct.pack(f">{len(shape)}I", *shape)
        content = header + np.zeros(shape, np.uint8).tobytes()
        (place / f"{name}.gz").write_bytes(gzip.compress(content, mtime=0))
    return place


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """A folder of stub programs that comes first on PATH; nothing is fetched from elsewhere."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setattr(
        torchvision.datasets.FashionMNIST, "mirrors", [f"{(tmp_path / 'nowhere').as_uri()}/"]
    )
    return folder


def stub(folder, name, script):
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.fixture
def package(tmp_path):
    """A Debian package that holds four small files where the real one holds its own."""
    tree = tmp_path / "tree"
    write_files(tree / PACKAGE_FOLDER.relative_to("/"))
    (tree / "DEBIAN").mkdir()
    (tree / "DEBIAN" / "control").write_text(
        "Package: dataset-fashion-mnist\nVersion: 1\nArchitecture: all\n"
        "Maintainer: A Test <test@example.org>\nDescription: four small files\n"
    )
    file = tmp_path / "dataset-fashion-mnist_1_all.deb"
    subprocess.run(["dpkg-deb", "-b", str(tree), str(file)], check=True, capture_output=True)
    return file


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """A folder that torchvision downloads from, through a server on this machine."""
    place = write_files(tmp_path / "mirror")
    names = [f"{name}.gz" for name in FILES]
    sums = [hashlib.md5((place / name).read_bytes()).hexdigest() for name in names]  # noqa: S324
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(place))) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        dataset = torchvision.datasets.FashionMNIST
        monkeypatch.setattr(dataset, "mirrors", [f"http://127.0.0.1:{server.server_port}/"])
        monkeypatch.setattr(dataset, "resources", list(zip(names, sums, strict=True)))
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        yield place
        server.shutdown()
        thread.join()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *words):
        pass


def assert_fetched(folder, place):
    assert place == folder / "fashion-mnist"
    assert [path.name for path in folder.iterdir()] == ["fashion-mnist"]
    assert sorted(path.name for path in place.iterdir()) == sorted(f"{name}.gz" for name in FILES)
    assert len(fashion_mnist.read(folder).train.labels) == 3


@needs_dpkg
def test_the_debian_package_is_downloaded_and_unpacked(tmp_path, programs, package, capsys):
    stub(programs, "apt-get", f'[ "$*" = "download dataset-fashion-mnist" ] && cp {package} .')
    folder = tmp_path / "data"
    assert_fetched(folder, fetch_fashion_mnist(folder))
    said = capsys.readouterr().err.splitlines()
    assert said == [
        "fetching Fashion-MNIST (31 MB) from Debian's package dataset-fashion-mnist to "
        f"{folder / 'fashion-mnist'}"
    ]


@needs_dpkg
def test_a_machine_without_package_lists_gets_them_in_a_private_place(tmp_path, programs, package):
    # Plain download fails; update with private folders makes lists that the next download finds.
    stub(
        programs,
        "apt-get",
        f"""
        lists=
        for word in "$@"; do
            case "$word" in Dir::State::Lists={tmp_path}/data/.fetching-*) lists=${{word#*=}};; esac
        done
        [ -d "$lists/partial" ] || {{ echo "E: Unable to locate package" >&2; exit 100; }}
        case "$*" in
            *Dir::State=*Dir::Cache=*update) touch "$lists/packages";;
            *download*) [ -e "$lists/packages" ] && cp {package} .;;
        esac
        """,
    )
    folder = tmp_path / "data"
    assert_fetched(folder, fetch_fashion_mnist(folder))


@needs_dpkg
def test_two_fetches_at_once_both_succeed(tmp_path, programs, package):
    stub(programs, "apt-get", f"cp {package} .")
    folder = tmp_path / "data"
    with ThreadPoolExecutor(4) as pool:
        places = list(pool.map(fetch_fashion_mnist, [folder] * 4))
    for place in places:
        assert_fetched(folder, place)


@needs_dpkg
def test_fetching_completes_a_folder_that_lacks_a_file(tmp_path, programs, package):
    stub(programs, "apt-get", f"cp {package} .")
    folder = tmp_path / "data"
    (fetch_fashion_mnist(folder) / f"{FILES[1]}.gz").unlink()
    assert_fetched(folder, fetch_fashion_mnist(folder))


@pytest.mark.usefixtures("mirror")
def test_torchvision_is_used_where_there_is_no_apt(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    folder = tmp_path / "data"
    assert_fetched(folder, fetch_fashion_mnist(folder))
    assert "with torchvision" in capsys.readouterr().err


def test_torchvision_refuses_a_file_with_another_md5(tmp_path, mirror, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    (mirror / f"{FILES[0]}.gz").write_bytes(b"<html>sign in to this network</html>")
    with pytest.raises(DataError, match=r"with torchvision: .*corrupted"):
        fetch_fashion_mnist(tmp_path / "data")


def test_a_failure_lists_what_was_tried_why_it_failed_and_what_mends_it(tmp_path, programs):
    stub(programs, "apt-get", 'echo "Reading lists"; echo "E: No network for $1" >&2; exit 100')
    stub(programs, "dpkg-deb", "exit 0")
    folder = tmp_path / "data"
    with pytest.raises(DataError) as caught:
        fetch_fashion_mnist(folder)
    lines = str(caught.value).splitlines()
    assert lines[0] == "Fashion-MNIST could not be fetched:"
    assert lines[1].startswith(
        "  from Debian's package dataset-fashion-mnist: apt-get update failed: E: No network for -o"
    )
    assert lines[2].startswith("  with torchvision: Error downloading")
    assert lines[3].endswith("sudo apt-get install dataset-fashion-mnist")
    assert str(folder / "fashion-mnist") in lines[4]
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("apt", "unpack", "message"),
    [
        ("exit 0", "exit 0", "apt-get download left no package"),
        ("touch dataset-fashion-mnist_1_all.deb", "exit 0", "lacks train-images-idx3-ubyte, "),
        ("touch dataset-fashion-mnist_1_all.deb", "exit 2", "failed: no message"),
    ],
)
def test_a_package_that_is_not_what_it_should_be_is_a_failure(
    tmp_path, programs, apt, unpack, message
):
    stub(programs, "apt-get", apt)
    stub(programs, "dpkg-deb", unpack)
    with pytest.raises(DataError, match=message):
        fetch_fashion_mnist(tmp_path / "data")


def test_a_program_that_hangs_is_a_failure(tmp_path, programs, monkeypatch):
    monkeypatch.setattr("qkd.data.fetch.COMMAND_SECONDS", 0.05)
    stub(programs, "apt-get", "exec sleep 5")
    stub(programs, "dpkg-deb", "exit 0")
    with pytest.raises(DataError, match=r"apt-get update took over 0.05 s"):
        fetch_fashion_mnist(tmp_path / "data")


def test_a_data_folder_that_is_a_file_is_an_error_that_names_it(tmp_path):
    (tmp_path / "data").write_text("in the way")
    with pytest.raises(DataError, match=r"cannot write Fashion-MNIST to .*data"):
        fetch_fashion_mnist(tmp_path / "data")
