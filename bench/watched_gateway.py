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
    """The longest pause and the generation that was collected in it."""

    longest_seconds: float = 0.0
    generation: int = 0


class PauseWatch:
    """A callback of the garbage collector, which calls it before and after each collection.

    `clock` counts seconds. `serves`: the gateway has started; then it freezes what exists.
    """

    def __init__(
        self,
        path: Path,
        clock: Callable[[], float] = time.perf_counter,
        serves: Callable[[], bool] = lambda: gc.get_freeze_count() > 0,
    ) -> None:
        self._path = path
        self._clock = clock
        self._serves = serves
        self._began_seconds = 0.0
        self._longest_seconds = 0.0

    def __call__(self, phase: str, info: dict[str, int]) -> None:
        """Take the time of a collection."""
        now = self._clock()
        if phase == "start":
            self._began_seconds = now
        elif now - self._began_seconds > self._longest_seconds and self._serves():
            self._longest_seconds = now - self._began_seconds
            pauses = Pauses(longest_seconds=self._longest_seconds, generation=info["generation"])
            self._path.write_bytes(msgspec.json.encode(pauses))


def main() -> None:
    path = Path(sys.argv[1])
    gc.callbacks.append(PauseWatch(path))
    sys.argv = ["app", *sys.argv[2:]]
    runpy.run_module("app", run_name="__main__")


if __name__ == "__main__":
    main()
