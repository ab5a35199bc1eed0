"""Decides which of a benchmark's processes goes first on a core that they share.

Linux gives each session a share of its own where autogroups are on (sched(7)); there the nice value of the group counts, and
SCHED_IDLE by itself gives way to nobody outside of it. SCHED_FIFO, where a process may have it, goes before all of them at once: by
nice values alone a process that wakes waits for up to 5 ms, longer than most of what is measured takes.
"""

import os
from contextlib import suppress
from pathlib import Path

_LOWEST = 19
_LOW_GROUP = 5
_HIGH = -10
_AUTOGROUP = Path("/proc/self/autogroup")


def give_way() -> None:
    """Take the lowest priority. A lower nice value alone keeps the core until the scheduler's next tick, some milliseconds."""
    if hasattr(os, "SCHED_IDLE"):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    else:
        os.nice(_LOWEST)
    # Enough to give way at once to `go_first`. The lowest would leave nothing beside other work on the machine.
    _set_group(_LOW_GROUP)


def go_first() -> None:
    """Take a high priority, where this process may: it is what measures."""
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, _HIGH)
    _set_group(_HIGH)
    let_go_first(0)


def let_go_first(pid: int) -> None:
    """Let the main thread of a process go before all that is usual, where this process may allow it."""
    if hasattr(os, "SCHED_FIFO"):
        with suppress(OSError):
            os.sched_setscheduler(pid, os.SCHED_FIFO, os.sched_param(1))


def _set_group(nice: int) -> None:
    with suppress(OSError):
        _AUTOGROUP.write_text(str(nice))
