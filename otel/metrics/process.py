"""CPU time, memory, file descriptors and start time of the process, read at each collection.

On Linux the source is `/proc`; elsewhere only the CPU time is known. The names are those of the
Prometheus client libraries, which dashboards already use.
"""

import os
import time
from collections.abc import Iterable
from pathlib import Path

from otel.catalogue import process
from otel.metrics.instruments import Instruments, Sample

_STAT_START_TIME = (
    21 - 2
)  # field 22 of /proc/[pid]/stat, counted after the two fields up to the command's name (proc(5))


def observe_process(instruments: Instruments, proc: Path = Path("/proc")) -> None:
    """Register the process families; those that the platform does not provide stay absent."""

    def cpu_seconds() -> Iterable[Sample]:
        times = os.times()
        return [(times.user + times.system, {})]

    instruments.observe(process.CPU_TIME, cpu_seconds)
    if not (proc / "self" / "stat").exists():
        return
    page_bytes = os.sysconf("SC_PAGE_SIZE")
    start_seconds = _start_time_unix_seconds(proc)

    def resident_bytes() -> Iterable[Sample]:
        return [(int((proc / "self" / "statm").read_text().split()[1]) * page_bytes, {})]

    def open_fds() -> Iterable[Sample]:
        return [(sum(1 for _ in (proc / "self" / "fd").iterdir()), {})]

    def start_time() -> Iterable[Sample]:
        return [(start_seconds, {})]

    instruments.observe(process.RESIDENT_MEMORY, resident_bytes)
    instruments.observe(process.OPEN_FDS, open_fds)
    instruments.observe(process.START_TIME, start_time)


def _start_time_unix_seconds(proc: Path) -> float:
    """Return the boot time plus the ticks from it to the start of this process (proc(5))."""
    after_name = (proc / "self" / "stat").read_text().rpartition(")")[2].split()
    ticks = int(after_name[_STAT_START_TIME])
    for line in (proc / "stat").read_text().splitlines():
        if line.startswith("btime "):
            return int(line.split()[1]) + ticks / os.sysconf("SC_CLK_TCK")
    return time.time()
