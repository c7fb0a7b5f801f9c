"""The configuration of a SLURM on one machine, written for `local_slurm.py`."""

from dataclasses import dataclass
from pathlib import Path


@dataclass
class Settings:
    """What the files are written from.

    Attributes:
        folder: where all of the cluster's state is.
        host: this machine's name, without its domain.
        user: whose daemons and jobs they are.
        ports: slurmctld's, slurmdbd's, then one of each node.
        nodes: their names.
        max_array_size: SLURM's MaxArraySize.
        preempt_send_user_signal: whether a job that is preempted gets the signal that it asked
            for by --signal, or only SIGTERM.
    """

    folder: Path
    host: str
    user: str
    ports: list[int]
    nodes: list[str]
    max_array_size: int
    preempt_send_user_signal: bool = True


def write(settings: Settings) -> None:
    """Writes slurm.conf, slurmdbd.conf and gres.conf into the cluster's folder."""
    texts = {"slurm.conf": _slurm, "slurmdbd.conf": _slurmdbd, "gres.conf": _gres}
    for name, text in texts.items():
        part = settings.folder / f"{name}.part"
        part.touch(mode=0o600)  # slurmdbd wants it
        part.write_text(text(settings))
        part.replace(settings.folder / name)


def _slurm(own: Settings) -> str:
    folder = own.folder
    signal = "SlurmctldParameters=preempt_send_user_signal" if own.preempt_send_user_signal else ""
    nodes = "\n".join(
        f"NodeName={node} NodeHostname={own.host} NodeAddr=127.0.0.1 Port={port} "
        "CPUs=4 RealMemory=8000 Gres=gpu:2"
        for node, port in zip(own.nodes, own.ports[2:], strict=True)
    )
    return f"""\
ClusterName=local
SlurmctldHost={own.host}(127.0.0.1)
SlurmctldPort={own.ports[0]}
# Submitit makes the ranks' port from the id: clusters side by side count from other numbers.
FirstJobId={own.ports[0]}
SlurmUser={own.user}
SlurmdUser={own.user}
AuthType=auth/munge
CredType=cred/munge
# cred_expire is also how long a requeued job waits before it may start again: 120 s by default.
AuthInfo=socket={folder}/munge.socket,cred_expire=5
# Bound to the addresses above (loopback), not to 0.0.0.0.
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/%n.log
# No systemd, no cgroups, no affinity; a node has what is said of it, whatever the machine has.
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
DefMemPerCPU=256
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=100000,bf_interval=1
PriorityType=priority/basic
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
{signal}
MaxArraySize={own.max_array_size}
ReturnToService=2
SlurmctldTimeout=10
SlurmdTimeout=10
# A worker saves within it, also on a machine that is busy with other tests; SLURM's own is 30.
KillWait=15
GresTypes=gpu
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={own.ports[1]}
AccountingStoragePass={folder}/munge.socket
AccountingStorageTRES=gres/gpu
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=5
{nodes}
PartitionName=gpu Nodes=ALL Default=YES MaxTime=INFINITE PriorityTier=100 PreemptMode=OFF
PartitionName=preempt Nodes=ALL MaxTime=INFINITE PriorityTier=1 PreemptMode=REQUEUE GraceTime=20
"""


def _slurmdbd(own: Settings) -> str:
    return f"""\
AuthType=auth/munge
AuthInfo=socket={own.folder}/munge.socket
DbdHost={own.host}
DbdAddr=127.0.0.1
DbdPort={own.ports[1]}
SlurmUser={own.user}
LogFile={own.folder}/log/slurmdbd.log
PidFile={own.folder}/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser={own.user}
StorageLoc=slurm
CommitDelay=1
"""


def _gres(own: Settings) -> str:
    # SLURM sets CUDA_VISIBLE_DEVICES only where a GPU has a device file: two harmless ones.
    return f"AutoDetect=off\nNodeName={','.join(own.nodes)} Name=gpu File=/dev/null,/dev/zero\n"
