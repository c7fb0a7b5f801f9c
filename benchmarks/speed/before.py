"""BASELINE=<commit>: what has become faster since a commit, both trees in turn, and whether the
stages that they train end in equal bits.
"""

import contextlib
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from benchmarks.speed import prover, trio
from benchmarks.speed.figures import Figure, judged
from benchmarks.speed.launching import Launching, states, wall_by_training
from benchmarks.speed.telling import Groups
from benchmarks.speed.timing import in_turn
from benchmarks.speed.trees import Tree, Trees
from qkd.training.runtime import ALLOCATOR, cores

WALL_GOALS = {"ablation": 0.55, "trio": 0.65}
MEMORY_GOAL = 0.75
PROOF_GOAL = 0.10
IMPORT_GOAL = 2.5 / 4.3  # seconds, and those of the tree that the goal was set against
SECOND_CALL_SECONDS = 5.0


class Rounds(NamedTuple):
    """How often each work is done by either tree, and on how many images a proof is timed."""

    launches: int = 3
    calls: int = 5
    proofs: int = 3
    images: int = 1000


def since(trees: Trees, rounds: Rounds | None = None) -> Groups:
    """What measures each group of figures, by a name for it; RuntimeError where a tree fails."""
    chosen = rounds or Rounds()
    return {
        "the import of a worker, before and now": lambda: _importing(trees, chosen),
        "the integer proof, before and now": lambda: _proofs(trees, chosen),
        "the ablation, before and now": lambda: _ablation(trees, chosen),
        "qat, kd and qkd at three bit widths, before and now": lambda: _trio(trees, chosen),
    }


def group_of(trees: Trees) -> str:
    """The group of all these figures."""
    return f"since {trees.before.commit[:12]}, at smoke scale"


def _ablation(trees: Trees, rounds: Rounds) -> Iterator[Figure]:
    with tempfile.TemporaryDirectory(prefix="launches-") as place:
        pair = _launchings(trees, "ablation", Path(place))
        yield from _launched(group_of(trees), "ablation", pair, rounds)
        yield from _more_of_launches(group_of(trees), "ablation", pair, rounds)


def _trio(trees: Trees, rounds: Rounds) -> Iterator[Figure]:
    with tempfile.TemporaryDirectory(prefix="launches-") as place:
        file = Path(place) / "trio.py"  # the other tree may have none
        shutil.copyfile(str(trio.__file__), file)
        pair = _launchings(trees, str(file), Path(place))
        yield from _launched(group_of(trees), "trio", pair, rounds)


def _launchings(trees: Trees, matrix: str, place: Path) -> tuple[Launching, Launching]:
    # A processor's own arithmetic in both: a tree that knows no PORTABLE= has no other.
    variables = {"MATRIX": matrix, "SCALE": "smoke", "JOBS": str(cores()), "PORTABLE": "0"}
    return (
        Launching(trees.before, variables, place / "before"),
        Launching(trees.now, variables, place / "now"),
    )


def _launched(
    group: str, name: str, pair: tuple[Launching, Launching], rounds: Rounds
) -> Iterator[Figure]:
    """Launches of one matrix by both trees, and whether they end in equal bits."""
    times = in_turn(*pair, rounds.launches, warm_up=0)
    yield times.figure(group, f"{name}, wall", WALL_GOALS[name])
    yield _equal_bits(group, name, *(states(launching.results) for launching in pair))


def _more_of_launches(
    group: str, name: str, pair: tuple[Launching, Launching], rounds: Rounds
) -> Iterator[Figure]:
    """Memory, the share of training, and a second call."""
    first, second = pair
    if first.peaks and second.peaks:
        peaks = [statistics.median(one.peaks) for one in (first, second)]
        yield judged(
            Figure(
                group=group,
                name=f"{name}, peak memory of all processes",
                ratio=peaks[1] / peaks[0],
                goal=MEMORY_GOAL,
                note=f"{peaks[1] / 2**20:.0f} MiB for {peaks[0] / 2**20:.0f}",
            )
        )
    yield Figure(
        group=group,
        name=f"{name}, the stages' wall / training seconds",
        ratio=wall_by_training(second.results),
        note=f"{wall_by_training(first.results):.2f} before; stages of 20 steps",
    )
    times = in_turn(first.again, second.again, rounds.calls, warm_up=1)
    base, other = statistics.median(times.base), statistics.median(times.other)
    note = f"{other:.1f} s for {base:.1f}; the goal is {SECOND_CALL_SECONDS:.0f} s"
    goal = SECOND_CALL_SECONDS / base
    yield times.figure(group, f"{name}, second call of what is done", goal, note)


def _equal_bits(
    group: str, name: str, before: dict[str, tuple[object, ...]], now: dict[str, tuple[object, ...]]
) -> Figure:
    """The share of the stages of either tree that end in equal bits in both."""
    every = before.keys() | now.keys()
    if not every:
        raise RuntimeError(f"no stage of {name} is done")
    equal = sum(digest in before and before[digest] == now.get(digest) for digest in every)
    counted = f"{equal} of {len(every)} stages equal"
    return judged(
        Figure(
            group=group,
            name=f"{name}, stages of equal weights and answers",
            ratio=equal / len(every),
            goal=1.0,
            better="higher",
            note=f"all {len(every)} stages equal" if equal == len(every) else counted,
        )
    )


def _importing(trees: Trees, rounds: Rounds) -> Iterator[Figure]:
    """What a worker imports before its first stage."""

    class Importing:
        def __init__(self, tree: Tree) -> None:
            self._tree = tree

        def __call__(self) -> None:
            command = [sys.executable, "-c", "import qkd.train"]
            environment = self._tree.environment({})
            subprocess.run(command, cwd=self._tree.folder, env=environment, check=True)  # noqa: S603

    times = in_turn(Importing(trees.before), Importing(trees.now), rounds.calls, warm_up=1)
    yield times.figure(group_of(trees), "import qkd.train", IMPORT_GOAL)


class Proving:
    """A process of a tree's own that proves one network at each call; ``found`` is what came of
    the last proof, the network's sha256 included. Used as a context."""

    def __init__(self, tree: Tree, images: int) -> None:
        self._tree, self._images = tree, images
        self.found = ""

    def __enter__(self) -> "Proving":
        self._process = subprocess.Popen(  # noqa: S603 (our own file)
            # -P: this folder's names are not those of the tree's packages
            [sys.executable, "-P", str(prover.__file__), str(self._images)],
            cwd=self._tree.folder,
            env={**ALLOCATOR, **self._tree.environment({})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        if self._answer() != "ready":
            self.__exit__()
            raise RuntimeError(f"the integer proof cannot be run in {self._tree.folder}")
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def __call__(self) -> None:
        """One proof, from asking for it to its end."""
        assert self._process.stdin is not None  # noqa: S101 (it was begun with a pipe)
        self._process.stdin.write("prove\n")
        self._process.stdin.flush()
        self.found = self._answer()
        if not self.found:
            raise RuntimeError(f"the integer proof fails in {self._tree.folder}")

    def _answer(self) -> str:
        assert self._process.stdout is not None  # noqa: S101 (likewise)
        return self._process.stdout.readline().strip()


def _proofs(trees: Trees, rounds: Rounds) -> Iterator[Figure]:
    """Raises RuntimeError where the two prove another network, or find another thing."""
    with contextlib.ExitStack() as held:
        first, second = (held.enter_context(Proving(tree, rounds.images)) for tree in trees)
        times = in_turn(first, second, rounds.proofs, warm_up=0)
        if first.found != second.found:
            raise RuntimeError(f"the proofs differ: {first.found} before, {second.found} now")
    note = f"ResNet-20, W4A4, {rounds.images} images; the same network, the same agreement"
    yield times.figure(group_of(trees), "integer proof with its reference", PROOF_GOAL, note)
