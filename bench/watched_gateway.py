"""Runs the gateway, and writes how long the garbage collector stopped it.

`python -m bench.watched_gateway FILE ARGUMENT…` runs `python -m app ARGUMENT…` and keeps one line of
JSON in FILE (`Pauses`), written again whenever a pause is longer than all before it. Collections
before the gateway serves do not count: its last one, of all that exists then, is as long as it likes.
"""

import gc
import runpy
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec


class Pauses(msgspec.Struct, frozen=True, kw_only=True):
    """The longest pause and the generation that was collected in it; and the longest without the time in which others had the processor."""

    longest_seconds: float = 0.0
    longest_cpu_seconds: float = 0.0
    generation: int = 0


class PauseWatch:
    """A callback of the garbage collector, which calls it before and after each collection.

    `clock` counts seconds, `cpu_clock` those of the thread. `serves`: the gateway has started; then it freezes what exists.
    """

    def __init__(
        self,
        path: Path,
        clock: Callable[[], float] = time.perf_counter,
        cpu_clock: Callable[[], float] = time.thread_time,
        serves: Callable[[], bool] = lambda: gc.get_freeze_count() > 0,
    ) -> None:
        self._path = path
        self._clock = clock
        self._cpu_clock = cpu_clock
        self._serves = serves
        self._began_seconds = 0.0
        self._began_cpu_seconds = 0.0
        self._longest = Pauses()

    def __call__(self, phase: str, info: dict[str, int]) -> None:
        """Take the time of a collection."""
        now, cpu_now = self._clock(), self._cpu_clock()
        if phase == "start":
            self._began_seconds, self._began_cpu_seconds = now, cpu_now
        elif self._serves():
            self._add(now - self._began_seconds, cpu_now - self._began_cpu_seconds, info["generation"])

    def _add(self, seconds: float, cpu_seconds: float, generation: int) -> None:
        longest = self._longest
        if seconds > longest.longest_seconds:
            longest = msgspec.structs.replace(longest, longest_seconds=seconds, generation=generation)
        if cpu_seconds > longest.longest_cpu_seconds:
            longest = msgspec.structs.replace(longest, longest_cpu_seconds=cpu_seconds)
        if longest is not self._longest:
            self._longest = longest
            self._path.write_bytes(msgspec.json.encode(longest))


def main() -> None:
    path = Path(sys.argv[1])
    gc.callbacks.append(PauseWatch(path))
    sys.argv = ["app", *sys.argv[2:]]
    runpy.run_module("app", run_name="__main__")


if __name__ == "__main__":
    main()
