"""Logs when delivery of a signal begins to fail and when it works again, and nothing in between.

One line per change, on the logger `otel.delivery`, and at most one every `QUIET_SECONDS` for an
endpoint that flaps. The lines are themselves log records to deliver: that few cannot feed a storm.
"""

import logging
from collections.abc import Callable
from typing import Final

QUIET_SECONDS: Final = 10.0


class StateLog:
    """The state of one signal's delivery. Used by the thread that sends the signal."""

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
        """Note that the endpoint accepted a request."""
        if self._announced is not None:
            seconds = self._clock() - self._since
            self._logger.warning("%s reach %s again, after %.1f s", self._signal, self._address, seconds)
        self._trouble = self._announced = None

    def fails(self, reason: str, *, is_over: bool = False) -> None:
        """Note that the endpoint is unreachable or accepts nothing now; what waits is retained.

        Logs nothing when shutdown `is_over`: a try that its deadline cut off is no sign of the endpoint's
        state, and the line could not be delivered any more.
        """
        if is_over:
            return
        self._enter("fails", f"do not reach {self._address}, retained in memory and sent again: {reason}")

    def refuses(self, reason: str) -> None:
        """Note that the endpoint will never accept what was sent, which is dropped."""
        self._enter("refuses", f"are refused by {self._address} and dropped: {reason}")

    def cannot_encode(self, reason: str) -> None:
        """Note that items could not be encoded and are dropped."""
        self._enter("cannot_encode", f"could not be encoded and are dropped: {reason}")

    def _enter(self, trouble: str, text: str) -> None:
        """Log a change of state; where a line was logged less than `QUIET_SECONDS` ago, later and only if it lasts."""
        now = self._clock()
        if self._trouble is None:
            self._since = now
        self._trouble = trouble
        if trouble != self._announced and now >= self._quiet_until:
            self._announced = trouble
            self._quiet_until = now + QUIET_SECONDS
            self._logger.warning("%s %s", self._signal, text)
