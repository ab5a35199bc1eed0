"""Spans of a request that is not sampled, held until its end shows whether they are exported.

    fast_tracer: a server span that is not sampled -> TraceHold.open -> HeldTrace
    fast_span.end -> HeldTrace.ended -> all spans are exported, or dropped

While they are held, the trace context that goes on to others says "not sampled", as the caller
decided. Spans that are exported carry the flag, because exporters and backends drop spans without it.
"""

import threading
from typing import Final, Protocol

import msgspec
from opentelemetry.trace import StatusCode

MAX_SPANS_OF_A_TRACE: Final = 128
MAX_SPANS: Final = 8_192
"""Held spans of all traces, beside the one server span of each request: as many as wait to be encoded by default."""

_NANOSECONDS: Final = 1_000_000_000


class HeldSpan(Protocol):
    """What a held trace needs of its spans."""

    @property
    def is_local_root(self) -> bool:
        """Whether its parent is not of this process."""

    @property
    def status_code(self) -> StatusCode:
        """The status at its end."""

    @property
    def duration_ns(self) -> int:
        """From its start to its end."""

    def export(self) -> None:
        """Pass it on as a sampled span."""


class HoldRules(msgspec.Struct, frozen=True, kw_only=True):
    """Which requests are exported although they are not sampled; `slower_than_seconds` 0 is none by duration."""

    failed: bool = True
    slower_than_seconds: float = 0.0

    @property
    def hold_any(self) -> bool:
        """Whether there is a reason to hold spans."""
        return self.failed or self.slower_than_seconds > 0


class TraceHold:
    """Opens held traces and bounds their spans. Safe from any thread.

    A server span is always held, so that there are at most as many as requests in flight. `dropped`
    counts spans of exported traces that a bound kept out.
    """

    def __init__(
        self, rules: HoldRules, *, max_spans: int = MAX_SPANS, max_spans_of_a_trace: int = MAX_SPANS_OF_A_TRACE
    ) -> None:
        self.lock = threading.Lock()
        self.dropped = 0
        self.spans = 0
        self.max_spans = max_spans
        self.max_spans_of_a_trace = max_spans_of_a_trace
        self.exports_failures = rules.failed
        self._slow_ns = rules.slower_than_seconds * _NANOSECONDS if rules.slower_than_seconds > 0 else None

    def open(self) -> "HeldTrace":
        """Return a trace for one server span."""
        return HeldTrace(self)

    def wants(self, root: HeldSpan) -> bool:
        """Whether the trace of an ended server span is exported."""
        if self.exports_failures and root.status_code is StatusCode.ERROR:
            return True
        return self._slow_ns is not None and root.duration_ns >= self._slow_ns


class HeldTrace:
    """The spans of one request below its server span. Any thread may end one."""

    __slots__ = ("_admitted", "_ended", "_hold", "_is_exported", "_refused")

    def __init__(self, hold: TraceHold) -> None:
        self._hold = hold
        self._ended: list[HeldSpan] = []
        self._admitted = 0
        self._refused = 0
        self._is_exported: bool | None = None

    @property
    def exports_failures(self) -> bool:
        """Whether a server span with an error status exports it."""
        return self._hold.exports_failures

    def admits(self) -> bool:
        """Whether one more span below the server span is recorded; one that is must end here."""
        hold = self._hold
        with hold.lock:
            if self._is_exported is not None:
                return self._is_exported
            if self._admitted >= hold.max_spans_of_a_trace or hold.spans >= hold.max_spans:
                self._refused += 1
                return False
            self._admitted += 1
            hold.spans += 1
            return True

    def ended(self, span: HeldSpan) -> None:
        """Take a span that ended; the server span's end decides about all, and about those that end later."""
        with self._hold.lock:
            if self._is_exported is None and not span.is_local_root:
                self._ended.append(span)
                return
            spans = [span] if self._is_exported else []
            if self._is_exported is None:
                spans = self._decide(span)
        for each in spans:
            each.export()

    def _decide(self, root: HeldSpan) -> list[HeldSpan]:
        """Return the spans to export, under the lock."""
        hold = self._hold
        self._is_exported = hold.wants(root)
        hold.spans -= self._admitted
        spans = [*self._ended, root] if self._is_exported else []
        self._ended = []
        if self._is_exported:
            hold.dropped += self._refused
        return spans


def build_hold(rules: HoldRules, sampler: str, sinks: int) -> TraceHold | None:
    """Return the hold, None where it would export nothing.

    With `always_off` and `parentbased_always_off` the process has no traces of its own.
    """
    is_off = sampler in {"always_off", "parentbased_always_off"}
    return TraceHold(rules) if rules.hold_any and sinks and not is_off else None
