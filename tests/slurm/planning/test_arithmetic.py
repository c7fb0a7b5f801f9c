"""PORTABLE: its default never refuses, what cannot hold is said before anything trains."""

import json
from pathlib import Path

import pytest

from benchmarks.settings import Settings, from_environment
from qkd.training import portable
from qkd.training.portable import VARIABLES, NotPortable, obstacles
from qkd.training.runtime import Runtime
from slurm.local.executor import _settled
from slurm.planning.arithmetic import arithmetic, in_words
from slurm.planning.work import runtime_of
from tests.support.launching import finish, launch, stage_folders, start

OBSTACLE = next(obstacles(environment={}), "")
needs_avx2 = pytest.mark.skipif(bool(OBSTACLE), reason=OBSTACLE)
ONE = {"SEEDS": "0", "ONLY": "method=qat", "JOBS": "1"}


def settings(**variables: str) -> Settings:
    return from_environment({f"QKD_{name}": value for name, value in variables.items()})


@pytest.fixture
def able(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that PORTABLE=1 can hold on, whatever this one is."""
    monkeypatch.setattr(portable.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(portable.processor, "instructions", lambda: {"avx2", "fma"})
    monkeypatch.setattr(portable, "cuda_devices", lambda: 0)
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("able")
@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"SCALE": "smoke"}, True),
        ({"SCALE": "laptop"}, True),
        ({"SCALE": "paper"}, False),
        ({"SCALE": "paper", "PORTABLE": "1"}, True),
        ({"SCALE": "smoke", "PORTABLE": "0"}, False),
        ({"SCALE": "smoke", "THREADS": "2"}, False),
        ({"SCALE": "smoke", "COMPILE": "1"}, False),
        ({"SCALE": "smoke", "CLUSTER": "slurm"}, None),
        ({"SCALE": "paper", "CLUSTER": "slurm"}, False),
        ({"SCALE": "smoke", "CLUSTER": "slurm", "PORTABLE": "1"}, True),
    ],
)
def test_the_default_is_1_wherever_it_can_hold_but_at_paper_scale(
    given: dict[str, str], expected: bool | None
) -> None:
    chosen = settings(**given)
    assert arithmetic(chosen).portable is expected
    assert runtime_of(chosen, ()).portable is expected
    assert in_words(chosen).startswith(f"PORTABLE={int(expected is not False)} ")


@pytest.mark.usefixtures("able")
@pytest.mark.parametrize("given", [{"THREADS": "2"}, {"COMPILE": "1"}])
def test_it_is_refused_in_a_line_with_what_it_cannot_hold_with(given: dict[str, str]) -> None:
    with pytest.raises(NotPortable, match=next(iter(given))) as raised:
        arithmetic(settings(PORTABLE="1", **given))
    assert "\n" not in str(raised.value)


@pytest.mark.usefixtures("able")
def test_a_machine_that_cannot_is_refused_and_by_default_left_as_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(portable.processor, "instructions", lambda: {"avx"})
    assert arithmetic(settings(SCALE="smoke")) == (False, "by default: this processor has no AVX2")
    with pytest.raises(NotPortable, match="no AVX2"):
        arithmetic(settings(PORTABLE="1"))
    # A login node need not be able to do what the nodes of a cluster are asked for.
    assert arithmetic(settings(PORTABLE="1", CLUSTER="slurm")).portable is True
    assert _settled(Runtime(portable=None)).portable is False
    assert _settled(Runtime(portable=True)).portable is True
    monkeypatch.setattr(portable.processor, "instructions", lambda: {"avx2", "fma"})
    assert _settled(Runtime(portable=None)).portable is True
    assert _settled(Runtime(portable=None, threads=2)).portable is False


@pytest.mark.parametrize(
    ("variables", "own", "says"),
    [
        ({"PORTABLE": "yes"}, {}, "PORTABLE=yes is neither 0 nor 1"),
        ({"PORTABLE": "1", "THREADS": "2"}, {}, "THREADS=2"),
        ({"PORTABLE": "1"}, {"MKL_CBWR": "AVX2"}, "MKL_CBWR=AVX2 is set, where COMPATIBLE"),
    ],
)
def test_a_launch_is_refused_before_anything_is_written(
    tmp_path: Path, variables: dict[str, str], own: dict[str, str], says: str
) -> None:
    results = tmp_path / "results"
    code, output = finish(start("run", results, tmp_path / "data", own, **ONE, **variables))
    assert code == 2
    (line,) = output.splitlines()
    assert line.startswith("error: ")
    assert says in line
    assert not results.exists()


@pytest.mark.slow
@needs_avx2
def test_a_launch_holds_to_it_by_default_and_0_does_not(tmp_path: Path, data: Path) -> None:
    found = {}
    for value in ("", "0"):
        results = tmp_path / f"results{value}"
        code, output = launch("run", results, data, **ONE, PORTABLE=value)
        assert code == 0, output
        assert f"PORTABLE={value or 1} (" in output
        for folder in stage_folders(results):
            known = json.loads((folder / "env.json").read_text())
            found[value, folder.name] = known["portable"], known["aten_cpu_capability"]
            assert known["portable"] is (value == "")
            assert known["mkl_cbwr"] == ("" if value else VARIABLES["MKL_CBWR"])
            assert value or known["capability"] == "AVX2"
    assert len({name for _, name in found}) * 2 == len(found) >= 4
