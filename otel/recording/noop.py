"""The recorder that records nothing, for `telemetry.enabled = false` and for benchmarks.

With a propagator it still passes a caller's trace context on to providers, which
`OTEL_SDK_DISABLED` does not turn off.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext

from opentelemetry.context import Context
from opentelemetry.propagators.textmap import TextMapPropagator

from otel.events import AttemptFinished, AttemptStarted, Event, RequestFinished, RequestReceived
from otel.traces.trace_state import without_free_text


class DisabledScope:
    """Satisfies both `RequestScope` and `AttemptScope` by doing nothing.

    One instance serves all requests without trace context.
    """

    def __init__(self, headers: Mapping[str, str] | None = None) -> None:
        self._headers = headers or {}

    @property
    def trace_id(self) -> str:
        """Empty: there is no trace."""
        return ""

    @property
    def headers(self) -> Mapping[str, str]:
        """The caller's trace context."""
        return self._headers

    def current(self) -> AbstractContextManager[None]:
        """Make nothing current."""
        return nullcontext()

    def record(self, event: Event) -> None:
        """Do nothing."""

    def start_attempt(self, event: AttemptStarted) -> "DisabledScope":  # noqa: ARG002  the port's signature
        """Return the same scope."""
        return self

    def finish(self, event: RequestFinished | AttemptFinished) -> None:
        """Do nothing."""


class DisabledRecorder:
    """Satisfies `otel.events.Recorder` by doing nothing."""

    def __init__(self, propagator: TextMapPropagator | None = None) -> None:
        self._propagator = propagator
        self._scope = DisabledScope()

    def record(self, event: Event) -> None:
        """Do nothing."""

    def start_attempt(self, event: AttemptStarted) -> DisabledScope:  # noqa: ARG002  the port's signature
        """Return a scope without trace context."""
        return self._scope

    def start_request(self, event: RequestReceived) -> DisabledScope:
        """Return a scope that only passes the caller's trace context on."""
        if self._propagator is None or not event.headers:
            return self._scope
        context = self._propagator.extract(without_free_text(event.headers), context=Context())
        headers: dict[str, str] = {}
        self._propagator.inject(headers, context)
        return DisabledScope(headers) if headers else self._scope
