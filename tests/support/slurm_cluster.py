"""A Slurm cluster on this machine, for tests: a controller and two nodes.

Each node has a host name, an address, processes and a /tmp/ray of its own (Linux namespaces); everything else is
shared, as cluster nodes share a file system.

    sudo python tests/slurm_cluster.py FOLDER      start one, say how to reach it, stop it on Ctrl-C
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROGRAMS = ("slurmctld", "slurmd", "srun", "munged", "unshare", "nsenter", "ip")
NODES = ("n1", "n2")
NETWORK = "10.77.0"
BRIDGE = "soar-slurm"
CONTROLLER = f"{NETWORK}.1"
PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"

SLURM_CONF = """\
ClusterName=test
SlurmctldHost={host}({controller})
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CredType=cred/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=2,bf_interval=5,batch_sched_delay=0
GresTypes=gpu
MpiDefault=none
ReturnToService=2
MinJobAge=300
KillWait=10
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
{nodes}
PartitionName=gpu Nodes=ALL Default=YES MaxTime=60 State=UP
"""

# The node's own host name, names of the others, Slurm's configuration at its built-in place, and a place for Ray.
NODE = """\
hostname {name}
mount --bind {folder}/hosts /etc/hosts
mount --bind {folder}/etc /etc/slurm
mkdir -p {folder}/ray-{name} /tmp/ray
mount --bind {folder}/ray-{name} /tmp/ray
ip link set lo up
until ip address show dev eth0 2>/dev/null | grep -q inet; do sleep 0.05; done
# As the first process of its node, this shell also reaps what daemons leave behind; slurmd would not.
slurmd -D -N {name} &
wait
"""


def missing() -> str | None:
    """Why no cluster can be started here; None where one can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "a Slurm cluster in namespaces needs root on Linux"
    if absent := [program for program in PROGRAMS if shutil.which(program, path=PATH) is None]:
        return (
            f"no {', '.join(absent)}; on Debian: apt-get install --no-install-recommends slurmctld slurmd slurm-client "
            "munge iproute2"
        )
    if subprocess.run(["unshare", "--net", "--uts", "--pid", "--mount", "--fork", "true"], check=False).returncode:
        return "this machine allows no new namespaces"
    return None


class Cluster:
    """A running cluster; `environment` makes Slurm's commands find it."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.environment = {**os.environ, "PATH": PATH, "SLURM_CONF": str(folder / "etc" / "slurm.conf")}
        self.nodes: dict[str, subprocess.Popen] = {}

    def command(self, *command: str) -> str:
        """What a command prints on the controller's host."""
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def inside(self, node: str, *command: str) -> str:
        """What a command prints on a node."""
        return self.command("nsenter", f"--target={self._first_process(self.nodes[node])}", "--all", *command)

    def start(self) -> None:
        self._write_configuration()
        self._start_munge()
        # Of a run that was killed.
        subprocess.run(["ip", "link", "delete", BRIDGE], env=self.environment, capture_output=True, check=False)
        self.command("ip", "link", "add", BRIDGE, "type", "bridge")
        self.command("ip", "address", "add", f"{CONTROLLER}/24", "dev", BRIDGE)
        self.command("ip", "link", "set", BRIDGE, "up")
        self.command("slurmctld", "-i")
        for number, name in enumerate(NODES):
            self._start_node(name, f"{NETWORK}.{number + 2}")
        self._wait_until_idle()

    def stop(self) -> None:
        for node in self.nodes.values():
            # The first process of a node's namespace: all others go with it.
            node.kill()
            node.wait()
        for pid_file in (self.folder / "slurmctld.pid", self.folder / "munge" / "pid"):
            _end(pid_file)
        subprocess.run(["ip", "link", "delete", BRIDGE], env=self.environment, capture_output=True, check=False)

    def _write_configuration(self) -> None:
        host = os.uname().nodename.partition(".")[0]
        etc = self.folder / "etc"
        for path in (etc, self.folder / "state", self.folder / "munge", *(self.folder / f"spool-{n}" for n in NODES)):
            path.mkdir(parents=True)
        addresses = {name: f"{NETWORK}.{number + 2}" for number, name in enumerate(NODES)}
        nodes = "\n".join(
            f"NodeName={name} NodeAddr={address} CPUs=4 RealMemory=8000 Gres=gpu:1 State=UNKNOWN"
            for name, address in addresses.items()
        )
        conf = SLURM_CONF.format(host=host, controller=CONTROLLER, folder=self.folder, nodes=nodes)
        (etc / "slurm.conf").write_text(conf)
        # Any character device passes for a GPU.
        (etc / "gres.conf").write_text("AutoDetect=off\nName=gpu File=/dev/zero\n")
        (etc / "cgroup.conf").write_text("CgroupAutomount=no\n")
        known = {"localhost": "127.0.0.1", host: CONTROLLER, **addresses}
        (self.folder / "hosts").write_text("".join(f"{address} {name}\n" for name, address in known.items()))

    def _start_munge(self) -> None:
        folder = self.folder / "munge"
        folder.chmod(0o755)
        (folder / "key").write_bytes(os.urandom(128))
        (folder / "key").chmod(0o600)
        self.command(
            "munged", f"--key-file={folder}/key", f"--socket={folder}/socket", f"--pid-file={folder}/pid",
            f"--log-file={folder}/log", f"--seed-file={folder}/seed", "--force",
        )  # fmt: skip

    def _start_node(self, name: str, address: str) -> None:
        namespaces = ["unshare", "--net", "--uts", "--pid", "--mount", "--mount-proc", "--fork", "--kill-child"]
        script = NODE.format(name=name, folder=self.folder)
        with (self.folder / f"{name}.log").open("w") as log:
            node = subprocess.Popen(
                [*namespaces, "bash", "-e", "-c", script], env={"PATH": PATH}, stdout=log, stderr=log, text=True
            )
        self.nodes[name] = node
        inside = ["nsenter", f"--target={self._first_process(node)}", "--net"]
        self.command("ip", "link", "add", f"soar-{name}", "type", "veth", "peer", "name", f"peer-{name}")
        self.command("ip", "link", "set", f"soar-{name}", "master", BRIDGE, "up")
        self.command("ip", "link", "set", f"peer-{name}", "netns", inside[1].partition("=")[2])
        self.command(*inside, "ip", "link", "set", f"peer-{name}", "name", "eth0")
        self.command(*inside, "ip", "link", "set", "eth0", "up")
        self.command(*inside, "ip", "address", "add", f"{address}/24", "dev", "eth0")

    def _first_process(self, node: subprocess.Popen) -> str:
        children = Path(f"/proc/{node.pid}/task/{node.pid}/children")
        while not (found := children.read_text().split()):
            assert node.poll() is None, "a node did not start"
            time.sleep(0.02)
        return found[0]

    def _wait_until_idle(self) -> None:
        deadline = time.monotonic() + 60
        while (states := self.command("sinfo", "-h", "-N", "-o", "%t").split()) != ["idle"] * len(NODES):
            assert time.monotonic() < deadline, f"the nodes are {states}, see the logs in {self.folder}"
            time.sleep(0.2)


@contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    """A cluster whose keys, state and logs are in the folder, which must not be writable by others."""
    found = Cluster(folder)
    try:
        found.start()
        yield found
    finally:
        found.stop()


def _end(pid_file: Path) -> None:
    if not pid_file.exists():
        return
    pid = int(pid_file.read_text())
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + 20
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.1)


if __name__ == "__main__":
    if reason := missing():
        sys.exit(reason)
    with cluster(Path(sys.argv[1]).resolve()) as running:
        print(running.command("sinfo", "-N"), f"export SLURM_CONF={running.environment['SLURM_CONF']}", sep="\n")
        signal.pause()
