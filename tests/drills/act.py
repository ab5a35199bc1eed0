"""An act is one fault with a beginning and an end, and a stage is where it is played: until its alerts are told, then until they are over."""

import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from tests.drills.entries import Drill
from tests.drills.watch import Watch
from tests.harness.polling import until


class Stage:
    """The acts of one run, with the time of each; for one event loop."""

    def __init__(self, drills: Iterable[Drill], watch: Watch, *, told_seconds: float, resolved_seconds: float) -> None:
        self.drills = tuple(drills)
        self.watch = watch
        self.began: dict[str, float] = {}
        self.mended: dict[str, float] = {}
        self._told_seconds = told_seconds
        self._resolved_seconds = resolved_seconds

    @asynccontextmanager
    async def act(self, *names: str) -> AsyncIterator[None]:
        """Play acts at once: begin them in the block, then wait here until the webhook has been told of each of their alerts."""
        early = [each for each in self._drills(*names) if self.watch.has_told(each.alert, each.variant)]
        assert early == [], (
            f"told before the act that is to cause it: {[self.watch.of(each.alert, each.variant) for each in early]}"
        )
        for name in names:
            self.began[name] = time.monotonic()
        yield
        await until(
            lambda: not self.untold(*names),
            lambda: f"not told of {self.untold(*names)}: {self.watch.seen}",
            timeout_seconds=self._told_seconds,
        )
        for name in names:
            self.mended[name] = time.monotonic()

    def untold(self, *names: str) -> list[tuple[str, str]]:
        """Return the alerts of acts, each with its variant, that the webhook has not been told of; without those that are silenced."""
        return [
            (drill.alert, drill.variant)
            for drill in self._drills(*names)
            if not drill.silenced and not self.watch.has_told(drill.alert, drill.variant)
        ]

    async def resolved(self) -> None:
        """Wait until every alert of every act has been taken back."""
        drills = self._drills(*self.began)

        def firing() -> list[tuple[str, str]]:
            return [
                (each.alert, each.variant) for each in drills if not self.watch.has_resolved(each.alert, each.variant)
            ]

        await until(lambda: not firing(), lambda: f"not resolved: {firing()}", timeout_seconds=self._resolved_seconds)

    def _drills(self, *names: str) -> list[Drill]:
        return [drill for drill in self.drills if drill.act in names]
