"""Watches a sender's tries, so that a test knows which requests of a receiver double were acknowledged in time.

An endpoint may keep a request whose response comes after the timeout, on a machine that stood still for that long;
the sender must send it again. `acknowledged` leaves such requests out, and nothing else that came twice.
"""

import time
from collections.abc import Iterable

import msgspec

from otel.config.otlp import Signal
from otel.delivery.transport.sender import Accepted, Outcome, Sender
from tests.harness.otlp_data import ReceivedRequest, ReceivedTelemetry

_EARLY_SECONDS = 0.05
"""gRPC counts its deadline on another clock."""


class Try(msgspec.Struct, frozen=True, kw_only=True):
    """One call of `send`, on the monotonic clock. `payload` is the encoded request before it was packed."""

    signal: Signal
    payload: bytes
    began_seconds: float
    ended_seconds: float
    timeout_seconds: float
    outcome: Outcome

    @property
    def waited_in_vain(self) -> bool:
        """Whether the sender waited as long as it may without a response, and so cannot know what became of the request."""
        is_over = self.ended_seconds - self.began_seconds >= self.timeout_seconds - _EARLY_SECONDS
        return is_over and not isinstance(self.outcome, Accepted)


class WatchedSender:
    """Satisfies `Sender`: hands everything on, and appends each try to `tries`."""

    def __init__(self, signal: Signal, sender: Sender, tries: list[Try]) -> None:
        self._signal: Signal = signal
        self._sender = sender
        self._tries = tries
        self.address = sender.address
        self.pack = sender.pack
        self.unpack = sender.unpack
        self.close = sender.close

    def send(self, body: bytes, timeout_seconds: float) -> Outcome:
        """Send, and remember when and how it ended."""
        began_seconds = time.monotonic()
        outcome = self._sender.send(body, timeout_seconds)
        self._tries.append(
            Try(
                signal=self._signal,
                payload=self._sender.unpack(body),
                began_seconds=began_seconds,
                ended_seconds=time.monotonic(),
                timeout_seconds=timeout_seconds,
                outcome=outcome,
            )
        )
        return outcome


def acknowledged(requests: Iterable[ReceivedRequest], tries: Iterable[Try]) -> ReceivedTelemetry:
    """Return what a double received, without the requests that it kept and whose try had waited in vain.

    A request belongs to the last try of its payload that had begun when it came.
    """
    tries = list(tries)
    received = ReceivedTelemetry()
    for request in requests:
        own = [
            each
            for each in tries
            if (each.signal, each.payload) == (request.signal, request.body)
            and each.began_seconds <= request.received_seconds
        ]
        if not (own and own[-1].waited_in_vain):
            received.take(request.signal, request.headers, request.body, accept=request.accepted)
    return received
