"""What a worker imports, and what it says of its libraries."""

import multiprocessing
import sys

from qkd.records.record import Store
from qkd.train import run_stage
from qkd.training.environment import torchvision_version
from tests.support import small


def test_the_version_is_what_torchvision_says_of_itself():
    import torchvision  # not above: a worker of the other test imports this file

    assert torchvision_version() == torchvision.__version__


def train_and_leave(root, runtime, stage):
    """Exits with 1 where what a worker does not need was imported, naming it."""
    run_stage(stage, Store(root), runtime)
    slow = {"torchvision", "scipy", "pandas", "seaborn", "matplotlib"} & set(sys.modules)
    sys.exit(f"imported: {sorted(slow)}" if slow else 0)


def test_a_worker_imports_torchvision_only_for_photos_and_its_networks(tmp_path, runtime):
    arguments = (tmp_path, runtime, small.starts()[0])
    # As a launch starts its workers. A forkserver is one for all tests, and has what others need.
    process = multiprocessing.get_context("spawn").Process(target=train_and_leave, args=arguments)
    process.start()
    process.join()
    assert process.exitcode == 0
