"""Decides which of a benchmark's processes goes first on a core that they share.

Linux gives each session a share of its own where autogroups are on (sched(7)); there the nice value of the group counts, and
SCHED_IDLE by itself gives way to nobody outside of it.
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


def _set_group(nice: int) -> None:
    with suppress(OSError):
        _AUTOGROUP.write_text(str(nice))
