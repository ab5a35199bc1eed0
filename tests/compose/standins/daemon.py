"""A Docker daemon of its own: its data, its bridge and its packet rules end with it.

It yields the environment for `docker` and Docker Compose. Needs root and Linux.
"""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

PROGRAMS: Final = {
    "docker": "docker.io",
    "dockerd": "docker.io",
    "containerd": "containerd",
    "runc": "runc",
    "iptables": "iptables",
    "iptables-save": "iptables",
    "ip": "iproute2",
    "debootstrap": "debootstrap",
    "busybox": "busybox-static",
}
"""What must be there, and the Debian package that has it."""

_FORWARDING: Final = Path("/proc/sys/net/ipv4/ip_forward")
_BRIDGE_NETWORK: Final = "10.213.77.1/24"
_POOL: Final = "base=10.214.0.0/16,size=24"
_START_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 60.0


class DaemonError(RuntimeError):
    """There can be no daemon here; the message says what is missing."""


def check_machine() -> None:
    """Raise `DaemonError` where a daemon could not be started."""
    missing = sorted({package for program, package in PROGRAMS.items() if shutil.which(program) is None})
    if missing:
        raise DaemonError(
            f"programs are missing: on Debian, apt-get install --no-install-recommends {' '.join(missing)}"
        )
    if os.geteuid() != 0:
        raise DaemonError("a Docker daemon is started by hand, which needs root")


@contextmanager
def running_daemon(folder: Path) -> Iterator[dict[str, str]]:
    """Run a daemon with its data below `folder`; yield the variables for its clients. Raises `DaemonError`."""
    check_machine()
    socket = f"unix://{folder}/docker.sock"
    environ = {**os.environ, "DOCKER_HOST": socket, "DOCKER_CONFIG": str(folder / "client"), "DOCKER_BUILDKIT": "0"}
    bridge = f"gwz{os.getpid()}"
    with ExitStack() as stack:
        stack.callback(_remove, folder)
        stack.enter_context(_packet_rules_kept())
        _ip("link", "add", "name", bridge, "type", "bridge")
        stack.callback(_ip, "link", "delete", bridge)
        _ip("address", "add", _BRIDGE_NETWORK, "dev", bridge)
        _ip("link", "set", bridge, "up")
        command = ["dockerd", "--host", socket, "--bridge", bridge, "--default-address-pool", _POOL]
        command += ["--data-root", f"{folder}/data", "--exec-root", f"{folder}/exec", "--pidfile", f"{folder}/pid"]
        with (folder / "dockerd.log").open("wb") as log:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        stack.callback(_end, process)
        _wait_until_it_responds(process, environ, folder / "dockerd.log")
        yield environ


def _wait_until_it_responds(process: "subprocess.Popen[bytes]", environ: Mapping[str, str], log: Path) -> None:
    docker = str(shutil.which("docker"))
    deadline = time.monotonic() + _START_SECONDS
    while subprocess.run([docker, "info"], env=environ, capture_output=True, check=False).returncode:
        if process.poll() is not None or time.monotonic() > deadline:
            last = "\n".join(log.read_text(errors="replace").splitlines()[-5:])
            raise DaemonError(f"dockerd did not come up:\n{last}")
        time.sleep(0.2)


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End the daemon, which ends its containers and its own containerd."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _remove(folder: Path) -> None:
    """Remove all that the daemon kept. It leaves its network namespace mounted: nothing is removed through a mount."""
    for mount in reversed(mounts_below(folder, Path("/proc/self/mounts").read_text())):
        subprocess.run([str(shutil.which("umount")), mount], check=True)
    shutil.rmtree(folder)


def mounts_below(folder: Path, mounts: str) -> list[str]:
    """Return what is mounted below a folder, in the order in which it was mounted; `mounts` is as in proc(5)."""
    places = (line.split()[1] for line in mounts.splitlines())
    return [place for place in places if place.startswith(f"{folder}/")]


@contextmanager
def _packet_rules_kept() -> Iterator[None]:
    """Put packet rules and forwarding back as they were, unless another daemon's are among them: these it may have changed since."""
    before = _iptables_save()
    forwarding = _FORWARDING.read_text()
    try:
        yield
    finally:
        if ":DOCKER" not in before:
            subprocess.run(
                [str(shutil.which("iptables-restore"))], input=_with_all_tables(before), text=True, check=True
            )
            _FORWARDING.write_text(forwarding)


def _with_all_tables(rules: str) -> str:
    """Name the tables that were not there yet, so that what is in them now goes."""
    empty = {
        "filter": ("INPUT", "FORWARD", "OUTPUT"),
        "nat": ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"),
    }
    for table, chains in empty.items():
        if f"*{table}\n" not in rules:
            rules += "\n".join((f"*{table}", *(f":{chain} ACCEPT [0:0]" for chain in chains), "COMMIT\n"))
    return rules


def _iptables_save() -> str:
    return subprocess.run([str(shutil.which("iptables-save"))], capture_output=True, text=True, check=True).stdout


def _ip(*arguments: str) -> None:
    subprocess.run([str(shutil.which("ip")), *arguments], check=True)
