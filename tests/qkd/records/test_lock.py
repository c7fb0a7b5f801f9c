import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from qkd.records import lock
from qkd.records.lock import (
    STALE_SECONDS,
    Hold,
    Lock,
    Locked,
    LockLost,
    describe,
    is_held,
    is_stale,
)
from tests.support.small import processes

OTHER, DEAD, QUICK = "another", "dead", "quick"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "lock"


def owner_of(path):
    return json.loads(path.read_text())["token"]


def written(path, **changes):
    """A lock of another token by this process, or by whom ``changes`` say."""
    owner = {"host": lock._machine(), "pid": os.getpid(), "job": "", "token": OTHER}
    path.write_text(json.dumps(owner | changes))


def dead_pid():
    process = processes.Process(target=int)
    process.start()
    process.join()
    return process.pid


def test_a_lock_is_there_while_it_is_held_and_leaves_nothing(path):
    with Lock(path, job="12") as held:
        held.check()
        assert is_held(path)
        assert describe(path).startswith(f"pid {os.getpid()} on ")
        assert describe(path).endswith(", job 12")
        assert [f.name for f in path.parent.iterdir()] == ["lock"]
    assert list(path.parent.iterdir()) == []
    assert not is_held(path)


def test_a_live_lock_is_not_broken(path):
    with Lock(path) as held:
        with pytest.raises(Locked, match=f"held by pid {os.getpid()}"):
            Lock(path).__enter__()
        held.check()


def test_a_lock_is_dropped_when_the_work_fails(path):
    with pytest.raises(ZeroDivisionError), Lock(path):
        _ = 1 / 0
    assert not path.exists()


def test_a_lock_that_finds_the_disk_full_leaves_nothing(path, monkeypatch):
    write = Path.write_text

    def full(beside, text):
        write(beside, text[:3])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space left"):
        Lock(path).__enter__()
    assert list(path.parent.iterdir()) == []


def test_a_dead_process_lock_is_taken_over(path):
    written(path, pid=dead_pid())
    assert is_stale(path)
    assert not is_held(path)
    with Lock(path) as held:
        held.check()


def hold(path, entered):
    with Lock(path):
        entered.set()
        time.sleep(60)


def test_the_lock_of_a_killed_process_is_taken_over(path):
    entered = processes.Event()
    process = processes.Process(target=hold, args=(path, entered))
    process.start()
    assert entered.wait(30)
    assert is_held(path)
    with pytest.raises(Locked):
        Lock(path).__enter__()
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    with Lock(path) as held:
        held.check()


@pytest.mark.parametrize("owner", [{"host": "another", "pid": 1}, {}])
def test_a_lock_without_heartbeat_is_taken_over(path, owner):
    written(path, **owner)
    old = time.time() - STALE_SECONDS - 1
    os.utime(path, (old, old))
    assert is_stale(path)
    with Lock(path) as held:
        held.check()


def test_a_lock_elsewhere_is_held_as_long_as_its_heart_beats(path):
    written(path, host="another", pid=1)
    recent = time.time() - STALE_SECONDS + 30
    os.utime(path, (recent, recent))
    assert is_held(path)
    with pytest.raises(Locked, match="held by pid 1 on another"):
        Lock(path).__enter__()


def test_the_age_is_told_by_the_clock_that_is_given(path):
    written(path, host="another")
    assert not is_stale(path, clock=lambda: path.stat().st_mtime + STALE_SECONDS)
    assert is_stale(path, clock=lambda: path.stat().st_mtime + STALE_SECONDS + 1)


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"pid": "x"}', '{"pid": -1}'])
def test_a_lock_that_cannot_be_read_is_held_until_it_is_old(path, text):
    path.write_text(text)
    assert is_held(path)
    old = time.time() - STALE_SECONDS - 1
    os.utime(path, (old, old))
    assert not is_held(path)


def test_a_heartbeat_keeps_a_lock_young(path, monkeypatch):
    monkeypatch.setattr(lock, "HEARTBEAT_SECONDS", 0.01)
    with Lock(path):
        os.utime(path, (0, 0))
        deadline = time.monotonic() + 30
        while path.stat().st_mtime == 0 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert path.stat().st_mtime > 0


def test_a_lost_lock_is_noticed_and_left_to_its_new_owner(path):
    with Lock(path) as held:
        written(path)
        with pytest.raises(LockLost, match="taken over by pid"):
            held.check()
    assert owner_of(path) == OTHER


def test_a_lock_that_vanished_is_lost(path):
    with Lock(path) as held:
        path.unlink()
        with pytest.raises(LockLost):
            held.check()


def test_a_breaker_looks_again_once_no_other_can_break(path, monkeypatch):
    """Between the first look at the dead owner's lock and the second another has taken it over."""
    written(path, pid=dead_pid(), token=DEAD)
    look = lock.is_stale

    def looked(file, clock):
        stale = look(file, clock)
        if file == path:
            written(path, token=QUICK)
        return stale

    monkeypatch.setattr(lock, "is_stale", looked)
    with pytest.raises(Locked):
        Lock(path).__enter__()
    assert owner_of(path) == QUICK
    assert [f.name for f in path.parent.iterdir()] == ["lock"]


def test_while_one_breaks_a_lock_no_other_does(path):
    written(path, pid=dead_pid(), token=DEAD)
    breaking = path.with_name(".lock.breaking")
    written(breaking)
    with pytest.raises(Locked):
        Lock(path).__enter__()
    assert (owner_of(path), owner_of(breaking)) == (DEAD, OTHER)


def test_who_died_over_breaking_a_lock_keeps_nobody_out(path):
    for file in (path, path.with_name(".lock.breaking")):
        written(file, pid=dead_pid(), token=DEAD)
    with Lock(path) as held:
        held.check()
        assert [f.name for f in path.parent.iterdir()] == ["lock"]


def enter_in_turn(path, counter, overlaps, barrier):
    """Enters five times; while inside, is anybody else?"""
    barrier.wait()
    entered = 0
    while entered < 5:
        try:
            with Lock(path) as held:
                with counter.get_lock():
                    counter.value += 1
                    overlaps.value += counter.value > 1
                time.sleep(0.002)
                held.check()
                with counter.get_lock():
                    counter.value -= 1
                entered += 1
        except Locked:
            time.sleep(0.001)


def test_of_many_processes_one_at_a_time_enters(path):
    count = 6
    written(path, pid=dead_pid())  # all begin as breakers of the same dead owner's lock
    counter, overlaps = processes.Value("i", 0), processes.Value("i", 0)
    barrier = processes.Barrier(count)
    workers = [
        processes.Process(target=enter_in_turn, args=(path, counter, overlaps, barrier))
        for _ in range(count)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0] * count
    assert overlaps.value == 0
    assert list(path.parent.iterdir()) == []


def test_a_sleeping_process_of_this_machine_keeps_its_lock(path):
    with Lock(path):
        old = time.time() - 10 * STALE_SECONDS
        os.utime(path, (old, old))
        assert is_held(path)
        with pytest.raises(Locked):
            Lock(path).__enter__()


@pytest.mark.skipif(sys.platform != "linux", reason="the system tells when a process began")
def test_a_process_that_took_the_number_of_a_dead_one_does_not_keep_its_lock(path):
    written(path, started="1")  # this process's number, another beginning
    assert is_stale(path)


def test_where_the_system_does_not_say_when_a_process_began_a_live_one_keeps_its_lock(
    path, monkeypatch
):
    with Lock(path):
        old = time.time() - 10 * STALE_SECONDS
        os.utime(path, (old, old))
        monkeypatch.setattr(lock, "_started", lambda pid: None)  # macOS, or a hidden process
        assert is_held(path)


def test_a_lock_that_cannot_be_read_for_now_is_not_lost(path, monkeypatch):
    def failing(_self, *_arguments, **_keywords):
        raise OSError(116, "Stale file handle")

    with Lock(path) as held:
        with monkeypatch.context() as patch:
            patch.setattr(Path, "read_text", failing)
            held.check()
        held.check()
    assert not path.exists()


def test_those_who_work_under_a_lock_see_when_it_ends_or_changes_hands(path):
    with Lock(path) as held:
        hold = Hold(path, held.token)
        hold.check()
        assert hold.stands()
        assert not Hold(path, OTHER).stands()
    with Lock(path):
        assert not hold.stands()
    with pytest.raises(LockLost):
        hold.check()
    written(path, token=held.token, pid=dead_pid())
    hold.check()
    assert not hold.stands()
