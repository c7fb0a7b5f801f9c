"""A real SLURM on one machine: munged, MariaDB, slurmdbd, slurmctld, and a slurmd for each node.

From Debian's packages, as root or not; without systemd and cgroups, and with nothing under /etc.
All state is in one folder under the temporary one, all ports are free ones of the loopback address,
so that several may run at once. Each process carries the folder in its environment: nothing without
that mark is ever signalled. A keeper ends them all as soon as the process that started them is
gone, however it went. By hand, a shell or a command in a cluster's environment:

    python -m tests.support.local_slurm [COMMAND [ARGUMENT ...]]
"""

import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

if not __package__:  # run by its path, from any folder
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from tests.support import local_slurm_conf

# Each program that is started, and the Debian package that has it.
PROGRAMS = {
    "munged": "munge",
    "mariadbd": "mariadb-server",
    "mariadb-install-db": "mariadb-server",
    "slurmdbd": "slurmdbd",
    "slurmctld": "slurmctld",
    "slurmd": "slurmd",
    "scontrol": "slurm-client",
}
PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
FOLDER_MARK = "LOCAL_SLURM_FOLDER"
NODE_MARK = "SLURMD_NODENAME"  # slurmd's and its steps' by our hand, the jobs' by SLURM's
START_SECONDS = 60.0


def missing_packages() -> list[str]:
    """The Debian packages that this machine lacks."""
    return sorted({pkg for name, pkg in PROGRAMS.items() if not shutil.which(name, path=PATH)})


class LocalSlurm:
    """A running cluster: two partitions over all nodes, ``gpu`` and ``preempt``, whose jobs a job
    in ``gpu`` preempts (they are requeued). Accounted; each node has two GPUs that are none.

    Args:
        nodes: how many, named node1, node2 and on.
        max_array_size: SLURM's MaxArraySize: an array's indices are below it.

    Raises:
        RuntimeError: A daemon did not come up; with the end of its logs.
    """

    def __init__(self, nodes: int = 2, max_array_size: int = 16) -> None:
        self.nodes = [f"node{n}" for n in range(1, nodes + 1)]
        self.user = pwd.getpwuid(os.getuid()).pw_name
        self.folder = Path(tempfile.mkdtemp(prefix="local-slurm-"))
        self.environment = {
            "SLURM_CONF": str(self.folder / "slurm.conf"),
            "PATH": PATH,
            FOLDER_MARK: str(self.folder),
        }
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}
        self._settings = local_slurm_conf.Settings(
            folder=self.folder,
            host=socket.gethostname().partition(".")[0],
            user=self.user,
            ports=free_ports(2 + nodes),
            nodes=self.nodes,
            max_array_size=max_array_size,
        )
        self._daemon("keeper", sys.executable, __file__, "--keep", str(os.getpid()))
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def _start(self) -> None:
        for name in ("log", "state", "mysql", *self.nodes):
            (self.folder / name).mkdir()
        (self.folder / "munge.key").touch(mode=0o600)
        (self.folder / "munge.key").write_bytes(os.urandom(128))
        local_slurm_conf.write(self._settings)
        self._start_munge()
        self._start_database()
        self._daemon("slurmdbd", "slurmdbd", "-D")
        self._until("slurmdbd", lambda: self.succeeds("sacctmgr", "--noheader", "show", "cluster"))
        self.start_controller()
        for node in self.nodes:
            self.start_node(node)
        self._until(self.nodes[-1], self.is_idle)

    def _start_munge(self) -> None:
        places = {
            "socket": "munge.socket",
            "key-file": "munge.key",
            "pid-file": "munge.pid",
            "seed-file": "munge.seed",
            "log-file": "log/munged.log",
        }
        options = (f"--{name}={self.folder / place}" for name, place in places.items())
        self._daemon("munged", "munged", "--foreground", "--force", *options)
        self._until("munged", (self.folder / "munge.socket").exists)

    def _start_database(self) -> None:
        # It listens on a socket in our folder only, so that it needs neither users nor passwords.
        where = ["--no-defaults", f"--user={self.user}", f"--datadir={self.folder}/mysql"]
        small = ["--innodb-buffer-pool-size=64M", "--innodb-log-file-size=16M", "--debug-no-sync"]
        install = ["mariadb-install-db", *where, "--skip-test-db", *small]
        done = subprocess.run(install, env=self._own(), capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"mariadb-install-db failed: {done.stdout}{done.stderr}")
        self._daemon(
            "mariadbd",
            "mariadbd",
            *where,
            f"--socket={self.folder}/mysql.socket",
            f"--log-error={self.folder}/log/mariadbd.log",
            f"--pid-file={self.folder}/mariadbd.pid",
            "--skip-networking",
            "--skip-grant-tables",
            "--innodb-flush-log-at-trx-commit=0",
            "--innodb-lock-wait-timeout=900",  # slurmdbd asks for it
            *small,
        )
        self._until("mariadbd", (self.folder / "mysql.socket").exists)

    def _own(self) -> dict[str, str]:
        """The environment of our own commands: nothing of a cluster that this process is in."""
        kept = {k: v for k, v in os.environ.items() if k in ("HOME", "TMPDIR")}
        database = {"MYSQL_UNIX_PORT": f"{self.folder}/mysql.socket"}  # where slurmdbd looks for it
        # The mark comes late: a step writes its title over the beginning of its environment.
        return {**kept, "LANG": "C.UTF-8", **database, **self.environment}

    def _daemon(self, name: str, *command: str, **variables: str) -> None:
        with (self.folder / f"{name}.out").open("ab") as out:
            self._daemons[name] = subprocess.Popen(
                command,
                env={**self._own(), **variables},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,  # a Ctrl-C is ours alone
            )

    def _runs(self, name: str) -> bool:
        return name in self._daemons and self._daemons[name].poll() is None

    def _until(self, daemon: str, condition: Callable[[], bool]) -> None:
        """Waits for a daemon to be of use."""
        deadline = time.monotonic() + START_SECONDS
        while not condition():
            dead = not self._runs(daemon)
            if dead or time.monotonic() > deadline:
                what = "ended" if dead else f"was of no use after {START_SECONDS:.0f} s"
                raise RuntimeError(f"{daemon} {what}:\n{self.log(daemon)}")
            time.sleep(0.05)

    def log(self, daemon: str, lines: int = 20) -> str:
        """The last lines of what a daemon said."""
        files = (self.folder / f"{daemon}.out", self.folder / "log" / f"{daemon}.log")
        text = "".join(file.read_text(errors="replace") for file in files if file.exists())
        return "\n".join(text.splitlines()[-lines:])

    def command(self, *command: str, cwd: Path | None = None) -> str:
        """What one of SLURM's commands printed.

        Raises:
            RuntimeError: It failed; with what it said.
        """
        done = subprocess.run(
            command, env=self._own(), cwd=cwd, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr or done.stdout}")
        return done.stdout

    def succeeds(self, *command: str) -> bool:
        """Whether a command does not fail."""
        try:
            self.command(*command)
        except RuntimeError:
            return False
        return True

    def is_idle(self) -> bool:
        """Whether every node is there and has nothing to do."""
        states = self.command("sinfo", "--noheader", "--Node", "--format=%N %T").splitlines()
        return set(states) == {f"{node} idle" for node in self.nodes}

    def start_controller(self) -> None:
        """Starts slurmctld where it does not run; returns when it answers."""
        if not self._runs("slurmctld"):
            self._daemon("slurmctld", "slurmctld", "-D")
        self._until("slurmctld", lambda: self.succeeds("scontrol", "ping"))

    def stop_controller(self) -> None:
        """Stops slurmctld in good order: it saves its state."""
        daemon = self._daemons.pop("slurmctld")
        daemon.terminate()
        daemon.wait()

    def kill_controller(self) -> None:
        """Kills slurmctld: the jobs of its last five seconds are forgotten, their ids given again.

        It saves its state no more often than that.
        """
        daemon = self._daemons.pop("slurmctld")
        daemon.kill()
        daemon.wait()

    def preempt_signal(self, on: bool) -> None:
        """Sets whether a job that is preempted gets the signal it asked for by ``--signal``.

        What ``scontrol update`` changed of a partition is as the configuration has it again.
        """
        self._settings.preempt_send_user_signal = on
        local_slurm_conf.write(self._settings)
        self.command("scontrol", "reconfigure")

    def start_node(self, node: str) -> None:
        """Starts a node's slurmd where it does not run; SLURM learns of it later."""
        if not self._runs(node):
            self._daemon(node, "slurmd", "-D", "-N", node, **{NODE_MARK: node})

    def kill_node(self, node: str) -> None:
        """Kills a node: its slurmd, the steps and all that these run. SLURM learns of it later."""
        daemon = self._daemons.pop(node)
        kill(self.folder, node)
        daemon.wait()

    def stop(self) -> None:
        """Ends every process of the cluster and removes its folder."""
        kill(self.folder)
        for daemon in self._daemons.values():
            daemon.wait()
        shutil.rmtree(self.folder)


def free_ports(count: int) -> list[int]:
    """Ports of the loopback address that nobody listens on.

    Below those that the system gives to whoever connects: a daemon that is started again must find
    its own free.
    """
    found: list[int] = []
    for port in random.sample(range(20000, 32000), 1000):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                found.append(port)
        if len(found) == count:
            return found
    raise RuntimeError("no free port between 20000 and 32000")


def kill(folder: Path, node: str | None = None) -> None:
    """Kills a cluster's processes, or those of one of its nodes; never this one."""
    while found := set(processes(folder, node)) - {os.getpid()}:
        for pid in found:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.02)


def processes(folder: Path, node: str | None = None) -> Iterator[int]:
    """A cluster's processes, or those of one of its nodes: the marked ones, and what they began."""
    marks = {f"{FOLDER_MARK}={folder}".encode()}
    if node is not None:
        marks.add(f"{NODE_MARK}={node}".encode())
    children: dict[int, list[int]] = {}
    ours: list[int] = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            state, parent = (process / "stat").read_text().rpartition(")")[2].split()[:2]
            environment = (process / "environ").read_bytes().split(b"\0")
        except (OSError, ValueError):  # gone, or not ours to read
            continue
        if state == "Z":
            continue
        children.setdefault(int(parent), []).append(int(process.name))
        if marks <= set(environment):
            ours.append(int(process.name))
    while ours:
        pid = ours.pop()
        yield pid
        ours.extend(children.get(pid, []))


def keep(parent: int, folder: Path) -> None:
    """Waits for the end of the process that started a cluster, then ends the cluster."""
    while os.getppid() == parent:
        time.sleep(0.2)
    kill(folder)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--keep"]:
        keep(int(sys.argv[2]), Path(os.environ[FOLDER_MARK]))
    else:
        cluster = LocalSlurm()
        try:
            given = sys.argv[1:] or [os.environ.get("SHELL", "sh")]
            code = subprocess.call(given, env={**os.environ, **cluster.environment})
        finally:
            cluster.stop()
        sys.exit(code)
