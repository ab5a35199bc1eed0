"""CALLS IN HAND: which requests are being served now, how many there may be, and how all of them end when the gateway stops.

Comes in: each request's arrival and departure. Goes out: an `Interrupt` per request, or `OverloadedError`. For one event loop.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from app.errors import OverloadedError
from app.gateway.interrupt import Interrupt

RETRY_AFTER_SECONDS = 1.0


class CallsInHand:
    """The requests under way."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._interrupts: set[Interrupt] = set()
        self._stopped = False

    def __len__(self) -> int:
        return len(self._interrupts)

    @contextmanager
    def one(self) -> Iterator[Interrupt]:
        """Hold a place for one request; raises `OverloadedError` when there is none."""
        if self._stopped or len(self._interrupts) >= self._limit:
            raise OverloadedError(
                "The gateway has as many requests in hand as it admits.", retry_after_seconds=RETRY_AFTER_SECONDS
            )
        interrupt = Interrupt()
        self._interrupts.add(interrupt)
        try:
            yield interrupt
        finally:
            self._interrupts.discard(interrupt)

    def stop(self) -> int:
        """End every request, admit no more, and return how many there were."""
        self._stopped = True
        interrupts = list(self._interrupts)
        for interrupt in interrupts:
            interrupt.fire("shutdown")
        return len(interrupts)
