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
        early = [alert for alert in self._alerts(*names) if self.watch.has_told(alert)]
        assert early == [], (
            f"told before the act that is to cause it: {[(each, self.watch.of(each)) for each in early]}"
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

    def untold(self, *names: str) -> list[str]:
        """Return the alerts of acts that the webhook has not been told of."""
        return [alert for alert in self._alerts(*names) if not self.watch.has_told(alert)]

    async def resolved(self) -> None:
        """Wait until every alert of every act has been taken back."""
        alerts = self._alerts(*self.began)

        def firing() -> list[str]:
            return [alert for alert in alerts if not self.watch.has_resolved(alert)]

        await until(lambda: not firing(), lambda: f"not resolved: {firing()}", timeout_seconds=self._resolved_seconds)

    def _alerts(self, *names: str) -> list[str]:
        return [drill.alert for drill in self.drills if drill.act in names]
