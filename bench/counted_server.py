"""Runs a module under Valgrind, which counts the instructions that its threads execute in user space.

`python -m bench.counted_server FOLDER MODULE ARGUMENT…` becomes `valgrind python -m MODULE ARGUMENT…`, under
the same process id. Counting is off at first: `Counting` switches it on and reads the count.
"""

import asyncio
import os
import re
import shutil
import sys
from pathlib import Path

import msgspec

from demo.process import Child, ChildFailedError

VALGRIND, CONTROL = "valgrind", "callgrind_control"
_TOTALS = re.compile(r"^totals: (\d+)", re.MULTILINE)
_CONTROL_SECONDS = 60.0


def is_installed() -> bool:
    """Whether the programs that count are installed."""
    return shutil.which(VALGRIND) is not None and shutil.which(CONTROL) is not None


def command(folder: Path, arguments: list[str]) -> list[str]:
    """Return the command that runs a module and counts; what it counts goes to files in `folder`."""
    # The fair scheduler lets a thread that waits for the interpreter have its turn.
    options = ("--tool=callgrind", "--instr-atstart=no", "--separate-threads=yes", "--fair-sched=try", "--quiet")
    # The watchdog, which started this module, is gone with it: the module needs another.
    program = (sys.executable, "-m", "demo.watchdog", *arguments)
    return [VALGRIND, *options, f"--callgrind-out-file={folder}/counted.%p", *program]


class Count(msgspec.Struct, frozen=True, kw_only=True):
    """Instructions of a server. `main` is the thread that runs its event loop."""

    main: int
    others: int


class Counting:
    """The counter of one server."""

    def __init__(self, server: Child, folder: Path) -> None:
        self._server = server
        self._folder = folder
        self._dumps = 0

    async def start(self) -> None:
        """Count from now on."""
        await self._control("--instr=on")

    async def take(self) -> Count:
        """Return the instructions since the last call; raises `ChildFailedError`."""
        await self._control("--dump")
        self._dumps += 1
        files = sorted(self._folder.glob(f"counted.{self._server.pid}.{self._dumps}-*"))
        totals = [int(found[1]) for file in files if (found := _TOTALS.search(file.read_text())) is not None]
        if not totals:
            raise ChildFailedError(f"{CONTROL} has written no count of {self._server.name}")
        return Count(main=totals[0], others=sum(totals[1:]))

    async def _control(self, option: str) -> None:
        process = await asyncio.create_subprocess_exec(
            CONTROL, option, str(self._server.pid), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        output, _ = await asyncio.wait_for(process.communicate(), _CONTROL_SECONDS)
        if process.returncode != 0:
            raise ChildFailedError(f"{CONTROL} {option} failed: {output.decode(errors='replace').strip()}")


if __name__ == "__main__":
    counted = command(Path(sys.argv[1]), sys.argv[2:])
    os.execvp(counted[0], counted)  # noqa: S606  the benchmark's own command
