import pytest
import torch
from hypothesis import settings

from qkd.data.cache import _stored
from qkd.data.images import Images, Split, canonical
from qkd.data.standard import CIFAR10
from qkd.records.record import Store
from qkd.train import run_stage
from tests.support import small, trees
from tests.support.as_before import imports_as_before, torch_as_before
from tests.support.cluster import Cluster, require_packages
from tests.support.launching import launch
from tests.support.shared import shared

# Torch, oneDNN and MKL look once at the processor and at the variables that limit them: here,
# before a test launches with PORTABLE=1 in this process. So all processes have the same bits.
torch.nn.functional.conv2d(torch.zeros(4, 16, 16, 16), torch.zeros(16, 16, 3, 3))
torch.mm(torch.zeros(64, 64), torch.zeros(64, 64))

# The same examples on every run, however slow the machine; nothing is left behind.
settings.register_profile("tests", deadline=None, derandomize=True, database=None)
settings.load_profile("tests")


@pytest.fixture(autouse=True)
def _torch_as_it_was():
    """A stage sets up torch for its whole process; a test gives it back."""
    with torch_as_before():
        torch.set_num_threads(1)
        yield


@pytest.fixture(autouse=True)
def _imports_as_they_were():
    """The files of a user that a test loads are unknown to the next test."""
    with imports_as_before():
        yield


@pytest.fixture
def user_file(tmp_path):
    """A function that writes a user's file."""

    def write(name, text):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


@pytest.fixture(scope="session")
def runtime(tmp_path_factory):
    """A session's data folder; one thread."""
    folder = tmp_path_factory.mktemp("data")
    return small.runtime(folder)


@pytest.fixture(scope="session")
def trained(tmp_path_factory, runtime):
    """The store of one QKD run, undisturbed: pre-training, self-study, co-study, tutoring."""

    def train(folder):
        torch.set_num_threads(1)
        store = Store(folder)
        for stage in small.stages():
            run_stage(stage, store, runtime)
            store.refresh()

    return Store(shared(tmp_path_factory, "trained", train))


@pytest.fixture(scope="session")
def real_cifar10(tmp_path_factory):
    """A data folder in whose cache the real CIFAR-10 is."""
    found = trees.real_cifar("cifar10")
    if found is None:
        pytest.skip("the real CIFAR-10 is not on this machine")
    parts = [
        canonical(Images(images.transpose(0, 3, 1, 2), labels.astype("int64")))
        for images, labels in found[0].values()
    ]

    def store(folder):
        (folder / "cache").mkdir()
        _stored(Split(*parts), folder / "cache" / CIFAR10.digest, CIFAR10.digest)

    return shared(tmp_path_factory, "cifar10", store)


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """The data folder of launches."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="session")
def ablation(tmp_path_factory, data):
    """The results of the whole smoke ablation, launched on one machine."""

    def run(results):
        code, output = launch("run", results, data, JOBS="2")
        assert code == 0, output

    return shared(tmp_path_factory, "ablation", run)


@pytest.fixture(scope="session")
def slurm():
    """A real SLURM of two nodes, one for each process of tests."""
    require_packages()
    cluster = Cluster()
    yield cluster
    cluster.stop()


@pytest.fixture(autouse=True)
def _slurm_as_it_was(request):
    """A test that asks for SLURM gives it back with an empty queue and idle nodes."""
    cluster = request.getfixturevalue("slurm") if "slurm" in request.fixturenames else None
    yield
    if cluster is not None:
        cluster.tidy()
