"""torchvision's named weights: a plan knows them by name, a stage by their bytes."""

import hashlib
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
import torch
from msgspec import ValidationError
from torchvision.models import get_model_weights

from benchmarks.imagenet_networks import WEIGHTS, imagenet
from benchmarks.pairs import from_file, pretrained_pair
from qkd.data.standard import SYNTHETIC
from qkd.imports import FACTORIES, resolve
from qkd.records.record import Store
from qkd.spec import Stage, Weights
from qkd.spec.value import canonical, decode, encode, validated
from qkd.train import run_stage
from qkd.weights import files as weights_fetch
from qkd.weights import published
from qkd.weights.files import BadWeights, place
from qkd.weights.published import FILES, digest_of, torchvision
from qkd.weights.reading import fill
from report.page.drawers import in_words
from tests.qkd.training.test_ready import matrix, matrix_file
from tests.qkd.weights.test_weights import assert_same_state, network
from tests.support import small
from tests.support.launching import launch

NAME = "Tiny_Weights.IMAGENET1K_V1"
V1 = "ResNet18_Weights.IMAGENET1K_V1"


def test_every_name_is_torchvisions_with_its_file_and_digest():
    found = {
        f"{type(one).__name__}.{one.name}": one.url
        for network in WEIGHTS
        for one in get_model_weights(network)
    }
    assert {name: published.ADDRESS + file for name, file in FILES.items()} == found
    assert all(len(digest_of(file)) == 8 for file in FILES.values())


def test_the_name_and_the_digits_are_the_identity():
    value = torchvision(V1)
    assert value == Weights(source=f"torchvision:{V1}", name=V1, sha256="f37072fd")
    assert canonical(value) == {"name": V1, "sha256": "f37072fd"}
    history = from_file(imagenet("resnet18").network, SYNTHETIC, value)
    assert history.digest == "f91bf150c3634943"
    assert decode(encode(history), type(history)) == validated(history)
    assert Stage(history=history, steps=0).label == "ready-weights"


def test_the_report_says_whose_weights_a_network_began_with():
    history = from_file(imagenet("resnet18").network, SYNTHETIC, torchvision(V1))
    assert in_words(history) == [
        f"student: resnet18, from the ready weights torchvision:{V1} (sha256 f37072fd)"
    ]


def test_a_file_of_weights_keeps_its_id():
    value = Weights(source="file:ready.pt", sha256="0" * 64)
    assert canonical(value) == {"sha256": "0" * 64}


@pytest.mark.parametrize(
    "fields",
    [
        {"source": f"torchvision:{V1}"},
        {"source": f"torchvision:{V1}", "name": V1},
        {"source": f"torchvision:{V1}", "name": V1, "sha256": "0" * 64},
        {"source": f"torchvision:{V1}", "name": "Other.V1", "sha256": "f37072fd"},
    ],
)
def test_a_name_alone_is_refused_and_who_knows_the_rest_is_named(fields):
    with pytest.raises(
        ValueError, match=rf"qkd\.weights\.published\.torchvision\('{V1}'\) knows them"
    ):
        Weights(**fields)


@pytest.mark.parametrize("fields", [{"name": V1}, {"sha256": "f37072fd"}])
def test_a_file_has_no_name_and_a_whole_digest(fields):
    with pytest.raises(ValueError, match="all 64 digits of a sha256 or none"):
        Weights(source="file:ready.pt", **fields)


@pytest.mark.parametrize("name", ["../../etc/passwd", "a b.c", "x.y/../z"])
def test_a_name_is_no_path(name):
    value = Weights(source=f"torchvision:{name}", name=name, sha256="f37072fd")
    with pytest.raises(ValidationError, match="source"):
        validated(value)


def test_an_unknown_name_lists_the_known():
    with pytest.raises(ValueError, match=r"'ResNet18_Weights.V9' names no weights.*ResNet18_W"):
        torchvision("ResNet18_Weights.V9")


def test_a_pair_is_planned_without_a_file():
    student, teacher = imagenet("resnet18"), imagenet("resnet34")
    pair = pretrained_pair(
        student, teacher, SYNTHETIC, steps=1, log_every=1, batch=1, weights=WEIGHTS
    )
    assert pair.student_start.student.weights == torchvision(V1)
    assert pair.teacher_start.student.weights.sha256 == "b627a593"


def test_a_launch_plans_without_the_file_and_refuses_a_wrong_one_before_it_trains(tmp_path):
    file = matrix_file(tmp_path, "named", matrix(torchvision(V1)))
    results, folder = tmp_path / "results", tmp_path / "data"
    code, output = launch("plan", results, folder, MATRIX=file)
    assert code == 0, output
    assert "fetching" not in output
    folder.mkdir()
    (folder / "resnet18-f37072fd.pth").write_bytes(b"cut short")
    code, output = launch("run", results, folder, MATRIX=file)
    assert code == 2
    assert "the network resnet8-width4: " in output
    assert "resnet18-f37072fd.pth is another file" in " ".join(output.split())
    assert not (results / "stages").exists()


@pytest.fixture
def publish(tmp_path, monkeypatch):
    """Writes a network's weights as a published file; nothing is fetched but from a server that is
    not there."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(weights_fetch, "ADDRESS", "http://127.0.0.1:9/")
    (tmp_path / "data").mkdir()

    def write(module):
        path = tmp_path / "tiny.pth"
        torch.save(module.state_dict(), path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
        file = path.rename(tmp_path / f"tiny-{digest}.pth")
        monkeypatch.setitem(FILES, NAME, file.name)
        return file

    return write


@pytest.fixture
def tiny(publish):
    """A published file of small weights."""
    return publish(network(1))


@pytest.fixture
def server(tiny, monkeypatch):
    """Gives what lies beside the file."""
    handler = partial(Quiet, directory=str(tiny.parent))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as found:
        thread = Thread(target=found.serve_forever)
        thread.start()
        monkeypatch.setattr(weights_fetch, "ADDRESS", f"http://127.0.0.1:{found.server_port}/")
        yield found
        found.shutdown()
        thread.join()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *words):
        pass


def cache_of(tiny):
    return tiny.parent / "home" / "hub" / "checkpoints"


def filled(tiny):
    """A network filled from a data folder beside the file; whether it has the file's weights."""
    target = network(2)
    fill(target, torchvision(NAME), tiny.parent / "data")
    assert_same_state(target, network(1))


def test_the_data_folder_comes_first(tiny):
    cache_of(tiny).mkdir(parents=True)
    (cache_of(tiny) / tiny.name).write_bytes(b"never looked at")
    own = tiny.rename(tiny.parent / "data" / tiny.name)
    assert place(torchvision(NAME), own.parent) == own
    filled(tiny)


def test_then_the_cache_of_torch_hub(tiny):
    cache_of(tiny).mkdir(parents=True)
    tiny.rename(cache_of(tiny) / tiny.name)
    filled(tiny)
    assert list((tiny.parent / "data").iterdir()) == []


def test_then_it_is_downloaded_into_that_cache_once(tiny, server, capsys):
    filled(tiny)
    assert [path.name for path in cache_of(tiny).iterdir()] == [tiny.name]
    said = f"fetching {weights_fetch.ADDRESS}{tiny.name} to {cache_of(tiny) / tiny.name}\n"
    assert capsys.readouterr().err == said
    filled(tiny)
    assert capsys.readouterr().err == ""


def test_a_stage_takes_them_in(publish, tmp_path, runtime):
    torch.manual_seed(3)
    own = small.PAIR.student
    module = resolve(own.factory, FACTORIES)(**own.arguments)
    file = publish(module)
    cache_of(file).mkdir(parents=True)
    file.rename(cache_of(file) / file.name)
    history, store = from_file(own, SYNTHETIC, torchvision(NAME)), Store(tmp_path / "stages")
    run_stage(Stage(history=history, steps=0), store, runtime)
    store.refresh()
    state = small.loaded(store.record(history))["student"]["network"]
    assert small.same(dict(state), dict(module.state_dict()))


def test_a_download_of_other_bytes_is_refused_and_leaves_nothing(tiny, server):
    tiny.write_bytes(tiny.read_bytes()[:-1])
    with pytest.raises(BadWeights, match=r"could not be downloaded .*invalid hash value"):
        filled(tiny)
    assert list(cache_of(tiny).iterdir()) == []


def test_without_a_network_the_error_says_which_file_to_put_where(tiny):
    with pytest.raises(BadWeights) as caught:
        filled(tiny)
    folder = tiny.parent / "data"
    for words in (
        f"the weights torchvision:{NAME} are neither in {folder} nor in {cache_of(tiny)}",
        f"fetch http://127.0.0.1:9/{tiny.name} where there is a network",
        f"put it there as {folder / tiny.name}",
    ):
        assert words in str(caught.value)


def test_a_file_of_that_name_with_other_bytes_is_refused(tiny):
    other = tiny.parent / "data" / tiny.name
    torch.save(network(3).state_dict(), other)
    found = hashlib.sha256(other.read_bytes()).hexdigest()
    with pytest.raises(BadWeights) as caught:
        filled(tiny)
    assert f"its sha256 is {found}, not {digest_of(tiny.name)}. Put" in str(caught.value)
    assert "correct the sha256" not in str(caught.value)


def test_a_name_that_this_code_does_not_know_is_refused_when_loaded(tmp_path):
    value = Weights(source="torchvision:New.V1", name="New.V1", sha256="0" * 8)
    with pytest.raises(BadWeights, match=r"'New\.V1' names no weights of torchvision"):
        fill(network(), value, tmp_path)
