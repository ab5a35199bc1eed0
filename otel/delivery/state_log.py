"""STATE LOG: tells a person when delivery of a signal begins to fail and when it works again, and nothing in between.

Comes in: each outcome. Goes out: at most one line per change, on the logger `otel.delivery`; an
endpoint that flaps gets a line every `QUIET_SECONDS` at most. The lines themselves become log
records to deliver: being that few, they cannot feed a storm.
"""

import logging
from collections.abc import Callable
from typing import Final

QUIET_SECONDS: Final = 10.0


class StateLog:
    """The state of one signal's delivery. Used by the one thread that sends the signal."""

    def __init__(self, signal: str, address: str, clock: Callable[[], float]) -> None:
        self._signal = signal
        self._address = address
        self._clock = clock
        self._logger = logging.getLogger("otel.delivery")
        self._trouble: str | None = None
        self._announced: str | None = None
        self._since = 0.0
        self._quiet_until = float("-inf")

    def works(self) -> None:
        """The endpoint accepted something."""
        if self._announced is not None:
            seconds = self._clock() - self._since
            self._logger.warning("%s reach %s again, after %.1f s", self._signal, self._address, seconds)
        self._trouble = self._announced = None

    def fails(self, reason: str, *, is_over: bool = False) -> None:
        """The endpoint cannot be reached, or does not take anything now; what waits is kept.

        Nothing is written when shutdown `is_over`: what its deadline cut off tells nothing of the endpoint, and no line can be delivered
        or kept any more.
        """
        if is_over:
            return
        self._enter("fails", f"do not reach {self._address}, kept in memory and tried again: {reason}")

    def refuses(self, reason: str) -> None:
        """The endpoint refuses for good what it is given; that is dropped."""
        self._enter("refuses", f"are refused by {self._address} and dropped: {reason}")

    def cannot_encode(self, reason: str) -> None:
        """Something could not be encoded and is dropped."""
        self._enter("cannot_encode", f"could not be encoded and are dropped: {reason}")

    def _enter(self, trouble: str, text: str) -> None:
        """Announce a change of state, unless a line was written a moment ago: then later, if the trouble lasts."""
        now = self._clock()
        if self._trouble is None:
            self._since = now
        self._trouble = trouble
        if trouble != self._announced and now >= self._quiet_until:
            self._announced = trouble
            self._quiet_until = now + QUIET_SECONDS
            self._logger.warning("%s %s", self._signal, text)
