"""CPU time and context switches of a server: all processes of its session, all of their threads. Needs `/proc`."""

import os
from pathlib import Path

import msgspec

PROC = Path("/proc")


class Cost(msgspec.Struct, frozen=True):
    """What a server has used since its start. `switches` are context switches by thread, wanted or not."""

    cpu_seconds: float
    switches: dict[int, int]


def read_cost(session: int, proc: Path = PROC) -> Cost:
    """Add up the processes of a session (proc(5): fields 6 and 14 to 17 of stat).

    Children that have ended count by their parent's field 16 and 17.
    """
    ticks = 0
    switches: dict[int, int] = {}
    for folder in proc.iterdir():
        if not folder.name.isdigit():
            continue
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            if int(fields[3]) != session:
                continue
            ticks += sum(map(int, fields[11:15]))
            for task in (folder / "task").iterdir():
                switches[int(task.name)] = _switches((task / "status").read_text())
        except OSError:  # ended meanwhile
            continue
    return Cost(cpu_seconds=ticks / os.sysconf("SC_CLK_TCK"), switches=switches)


def _switches(status: str) -> int:
    return sum(int(line.split()[1]) for line in status.splitlines() if "ctxt_switches:" in line)


def switches_between(before: Cost, after: Cost) -> int:
    """Return the context switches between two readings; those of threads that ended in between are not counted."""
    return sum(count - before.switches.get(thread, 0) for thread, count in after.switches.items())
