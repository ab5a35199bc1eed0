"""Watches how much memory a process and its children hold, from `/proc` (proc(5)).

Input: a process id. Output: bytes. A child that has not yet started its own program shares its parent's memory and is not counted.
"""

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

SAMPLE_SECONDS = 0.02
_SAMPLES_PER_SEARCH = 5
_RESET_PEAK = "5"


class Memory(NamedTuple):
    """Resident bytes: of all processes now, and of the parent at its highest."""

    resident: int
    parent_peak: int


class MemoryWatch:
    """The peak of one process with its children."""

    def __init__(self, pid: int, proc: Path = Path("/proc")) -> None:
        self._pid = pid
        self._proc = proc
        self.peak_bytes = 0
        self._samples = 0
        self._children: list[int] = []

    def read(self) -> Memory:
        """Return what it holds now; 0 where the process has ended."""
        if self._samples % _SAMPLES_PER_SEARCH == 0:
            self._children = self._find_children()
        self._samples += 1
        parent, peak = self._status(self._pid)
        return Memory(parent + sum(self._status(child)[0] for child in self._children), peak)

    def begin(self) -> int:
        """Start a new peak and return what it holds now."""
        with suppress(OSError):
            (self._proc / str(self._pid) / "clear_refs").write_text(_RESET_PEAK)
        self.peak_bytes = self.read().resident
        return self.peak_bytes

    def sample(self) -> None:
        """Look once; the parent's own peak is missed by no sample."""
        self.peak_bytes = max(self.peak_bytes, *self.read())

    async def run(self) -> None:
        """Sample until cancelled."""
        while True:
            self.sample()
            await asyncio.sleep(SAMPLE_SECONDS)

    def _status(self, pid: int) -> tuple[int, int]:
        try:
            text = (self._proc / str(pid) / "status").read_text()
        except OSError:
            return 0, 0
        found = dict.fromkeys(("VmRSS:", "VmHWM:"), 0)
        for line in text.splitlines():
            name, _, value = line.partition("\t")
            if name in found:
                found[name] = int(value.split()[0]) * 1024
        return found["VmRSS:"], found["VmHWM:"]

    def _find_children(self) -> list[int]:
        """Return its children and theirs: whoever has one of them as its parent."""
        parents: dict[int, int] = {}
        for entry in self._proc.iterdir():
            if entry.name.isdigit():
                with suppress(OSError, ValueError):
                    parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        found = {self._pid}
        while more := {pid for pid, parent in parents.items() if parent in found} - found:
            found |= more
        own = self._command(self._pid)
        return [pid for pid in found - {self._pid} if self._command(pid) != own]

    def _command(self, pid: int) -> bytes:
        try:
            return (self._proc / str(pid) / "cmdline").read_bytes()
        except OSError:
            return b""
