"""Who is at work on a stage: a file created exclusively, with a heartbeat (torch-free).

No lock of the operating system is used: shared file systems often have none.
"""

import contextlib
import json
import os
import secrets
import socket
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

HEARTBEAT_SECONDS = 10.0
STALE_SECONDS = 120.0


class LockLost(RuntimeError):
    """Another process has taken the stage over; this one must stop without saving."""


class Locked(RuntimeError):
    """Another process is at work on the stage."""


def _machine() -> str:
    """The host, its boot and its process numbering (containers of one host have one each)."""
    words = [socket.gethostname()]
    with contextlib.suppress(OSError):
        words.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
        words.append(str(Path("/proc/self/ns/pid").readlink()))
    return " ".join(words)


def _started(pid: int) -> str | None:
    """When a process of this machine began, in its own ticks; "" where it is dead, None where the
    system does not tell (macOS, or another user's process that is hidden)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return "" if fields[0] in "ZX" else fields[19]
    except OSError:
        pass
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return ""
    except OSError:
        pass
    return None


class Hold:
    """A lock as all who work under it see it: its owner, and the other ranks of its stage."""

    def __init__(self, path: Path, token: str) -> None:
        self.path, self.token = path, token

    def check(self) -> None:
        """Raises LockLost where the stage is no longer ours. To be called before each save."""
        if not self._is_ours():
            raise LockLost(f"{self.path} was taken over by {describe(self.path)}")

    def stands(self) -> bool:
        """Whether its owner is alive and still holds it."""
        return self._is_ours() and is_held(self.path)

    def _is_ours(self) -> bool:
        """Whether the lock holds our token; one that cannot be read for now has not been lost."""
        try:
            content = self.path.read_text()
        except FileNotFoundError:
            return False
        except OSError:
            return True
        return self.token in content


class Lock(Hold):
    """Holds ``path`` while in its ``with`` block.

    Args:
        path: the lock file of a record.
        job: what the cluster calls this job, for people to read.
        clock: seconds, to compare with the heartbeat's; by default the file system's own.

    Raises:
        Locked: on entry, where a live process holds it.
    """

    def __init__(self, path: Path, job: str = "", clock: Callable[[], float] | None = None) -> None:
        super().__init__(path, secrets.token_hex(8))
        self._owner = {
            "host": _machine(),
            "pid": os.getpid(),
            "started": _started(os.getpid()),
            "job": job,
            "token": self.token,
        }
        self._clock = clock
        self._stop = threading.Event()
        self._heart = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> "Lock":
        if not self._place(self.path):
            self._break_if_stale()
            if not self._place(self.path):
                raise Locked(f"{self.path} is held by {describe(self.path)}")
        self._heart.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._heart.join()
        if self._is_ours():
            self.path.unlink(missing_ok=True)

    def _place(self, path: Path) -> bool:
        """Our name appears at ``path`` whole or not at all: written beside, then linked."""
        beside = path.with_name(f".lock.{self.token}.part")
        try:
            beside.write_text(json.dumps(self._owner))
            os.link(beside, path)
        except FileExistsError:
            return False
        finally:
            beside.unlink(missing_ok=True)
        return True

    def _beat(self) -> None:
        while not self._stop.wait(HEARTBEAT_SECONDS):
            with contextlib.suppress(OSError):  # the next beat may find the file system again
                if self._is_ours():
                    os.utime(self.path)

    def _break_if_stale(self) -> None:
        """Takes a dead owner's lock away.

        One does so at a time and looks again, for between a look and what follows from it the lock
        may have become a live one's. Who dies over it is himself a dead owner.
        """
        if not is_stale(self.path, self._clock):
            return
        breaking = self.path.with_name(".lock.breaking")
        if is_stale(breaking, self._clock):
            breaking.unlink(missing_ok=True)
        if not self._place(breaking):
            return
        try:
            if is_stale(self.path, self._clock):
                self.path.unlink(missing_ok=True)
        finally:
            breaking.unlink(missing_ok=True)


def _read(path: Path) -> dict[str, object]:
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def describe(path: Path) -> str:
    """The holder of a lock in words: host, pid, job."""
    owner = _read(path)
    job = f", job {owner['job']}" if owner.get("job") else ""
    host = str(owner.get("host") or "?").split()[0]
    return f"pid {owner.get('pid', '?')} on {host}{job}"


def is_stale(path: Path, clock: Callable[[], float] | None = None) -> bool:
    """Whether the lock's owner is dead: its process on this machine is gone, or its heartbeat.

    A process of this machine that is there is alive, however long it was asleep.
    """
    owner = _read(path)
    pid = owner.get("pid")
    if owner.get("host") == _machine() and isinstance(pid, int) and pid > 0:
        started = _started(pid)
        if started == "":
            return True
        if started is None:
            return False
        if owner.get("started"):
            return started != owner["started"]  # its number may have gone to another process
    try:
        beat = path.stat().st_mtime
    except FileNotFoundError:
        return False
    now = clock() if clock else _file_system_time(path.parent)
    return now - beat > STALE_SECONDS


def _file_system_time(folder: Path) -> float:
    """Now, by the clock that stamps the heartbeats: hosts of a shared file system may disagree."""
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".lock.") as file:
            return os.fstat(file.fileno()).st_mtime
    except OSError:  # read-only
        return time.time()


def is_held(path: Path) -> bool:
    """Whether a live process holds the lock."""
    return path.exists() and not is_stale(path)
