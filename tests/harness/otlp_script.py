"""How a receiver double behaves: accept, or one of the faults that a real endpoint has; can be changed while it runs."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, TypeAlias

import msgspec

Kind: TypeAlias = Literal["accept", "status", "black_hole", "slow", "partial_success", "close"]


class Behaviour(msgspec.Struct, frozen=True, kw_only=True):
    """What happens to a request once its body is read. Which fields count depends on `kind`."""

    kind: Kind = "accept"
    status: int | str = 200
    retry_after: str | None = None
    seconds: float = 0.0
    rejected: int = 0
    message: str = ""
    kept: bool = False


class Scripted:
    """The switches of a receiver double. Each holds from the next request until another is set, which releases requests that hang."""

    def __init__(self) -> None:
        self._switch = threading.Lock()
        self._behaviour = Behaviour()
        self._released = threading.Event()
        self._answering = 0
        self._is_down = False
        self._answered = threading.Condition()

    def accept(self) -> None:
        """Keep what comes and acknowledge it."""
        self._set(Behaviour())

    def black_hole(self) -> None:
        """Accept connections, read requests, keep nothing, and never respond; a later switch closes the connections."""
        self._set(Behaviour(kind="black_hole"))

    def slow(self, seconds: float) -> None:
        """Keep what comes at once and acknowledge it late."""
        self._set(Behaviour(kind="slow", seconds=seconds))

    def partial_success(self, rejected: int, message: str = "rejected by script") -> None:
        """Acknowledge each request, reporting that `rejected` of its items were not accepted (all are kept here, for inspection)."""
        self._set(Behaviour(kind="partial_success", rejected=rejected, message=message))

    def current(self) -> tuple[Behaviour, threading.Event]:
        """Return the behaviour for a request, and an event that is set when the behaviour changes."""
        with self._switch:
            return self._behaviour, self._released

    @contextmanager
    def answering(self) -> Iterator[bool]:
        """Take one request and respond to it inside of the block; False where the double goes down, which has to keep nothing any more."""
        with self._answered:
            is_up = not self._is_down
            self._answering += is_up
        try:
            yield is_up
        finally:
            with self._answered:
                self._answering -= is_up
                self._answered.notify_all()

    def _come_up(self) -> None:
        with self._answered:
            self._is_down = False

    def _go_down(self, seconds: float) -> None:
        """Let hanging requests go, and wait until each that was taken has its response.

        An endpoint that is killed between the two gets the same again, rightly: tests that count would not know.
        """
        with self._answered:
            self._is_down = True
        self._set(self.current()[0])
        with self._answered:
            self._answered.wait_for(lambda: not self._answering, seconds)

    def _set(self, behaviour: Behaviour) -> None:
        with self._switch:
            self._behaviour = behaviour
            released, self._released = self._released, threading.Event()
        released.set()
