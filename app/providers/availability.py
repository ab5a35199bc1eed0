"""The share of the last 5 minutes in which a provider was available, of the time for which its state is known.

Input: what probes found and what the circuit breaker did, with the time of each. Output: a
number between 0 and 1, or None. The past is kept as a short list of spans; a change replaces it as
a whole, so that it can be read from any thread.
"""

import math
from typing import Final

import msgspec

WINDOW_SECONDS: Final = 300.0


class _Span(msgspec.Struct, frozen=True):
    """From when on something holds: available, unavailable, or (None) unknown."""

    since_seconds: float
    available: bool | None


class _Past(msgspec.Struct, frozen=True):
    """The spans, the oldest first, and when the newest ends if nothing else happens."""

    spans: tuple[_Span, ...] = ()
    ends_seconds: float = -math.inf


class Availability:
    """One provider's past. Written by one thread in the order of time, read by any.

    `evidence_seconds`: for how long one finding is valid; after that the state is unknown
    until the next one.
    """

    def __init__(self, evidence_seconds: float) -> None:
        self._evidence_seconds = evidence_seconds
        self._past = _Past()
        self._found: bool | None = None
        self._stale_seconds = -math.inf
        self._blocked = False

    def found(self, now_seconds: float, *, available: bool) -> None:
        """Record the finding of a probe, or of a call that succeeded."""
        self._expire(now_seconds)
        self._found, self._stale_seconds = available, now_seconds + self._evidence_seconds
        self._change(now_seconds)

    def block(self, now_seconds: float) -> None:
        """The breaker opened: whatever probes find, the provider gets no traffic."""
        self._expire(now_seconds)
        self._blocked = True
        self._change(now_seconds)

    def unblock(self, now_seconds: float) -> None:
        """The breaker lets calls through again; from here on the last finding counts, as long as it is fresh."""
        self._expire(now_seconds)
        self._blocked = False
        self._change(now_seconds)

    def share(self, now_seconds: float) -> float | None:
        """Return the available share of the known time of the last 5 minutes; None where nothing is known."""
        past = self._past
        if not past.spans:
            return None
        ends = [span.since_seconds for span in past.spans[1:]] + [past.ends_seconds]
        available = known = 0.0
        for span, end_seconds in zip(past.spans, ends, strict=True):
            length = min(end_seconds, now_seconds) - max(span.since_seconds, now_seconds - WINDOW_SECONDS)
            if span.available is not None and length > 0:
                known += length
                available += length if span.available else 0.0
        if known:
            return available / known
        # The first finding has no length at its own moment, and is all that is known.
        newest = past.spans[-1].available
        return None if newest is None or now_seconds >= past.ends_seconds else float(newest)

    def _expire(self, now_seconds: float) -> None:
        """Record that the last finding became stale before now."""
        if not self._blocked and self._past.spans and self._stale_seconds <= now_seconds:
            self._change(max(self._stale_seconds, self._past.spans[-1].since_seconds))

    def _change(self, now_seconds: float) -> None:
        """Begin a span where the state changes, and forget what ended before the window."""
        state: bool | None
        if self._blocked:
            state, ends_seconds = False, math.inf
        elif now_seconds < self._stale_seconds:
            state, ends_seconds = self._found, self._stale_seconds
        else:
            state, ends_seconds = None, now_seconds
        spans = self._past.spans
        if not spans or spans[-1].available is not state:
            spans = (*spans, _Span(now_seconds, state))
        over = sum(1 for span in spans[1:] if span.since_seconds <= now_seconds - WINDOW_SECONDS)
        self._past = _Past(spans[over:], ends_seconds)
