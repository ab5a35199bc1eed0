"""The recorder that records nothing: `telemetry.enabled = false`, the baseline that the cost of telemetry is measured against."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext

from otel.events import AttemptFinished, AttemptStarted, Event, RequestFinished, RequestReceived


class DisabledScope:
    """Satisfies both `RequestScope` and `AttemptScope` by doing nothing; one instance serves all."""

    @property
    def trace_id(self) -> str:
        """No trace: empty, and no header is sent."""
        return ""

    @property
    def headers(self) -> Mapping[str, str]:
        """No trace context."""
        return {}

    def current(self) -> AbstractContextManager[None]:
        """Nothing becomes current."""
        return nullcontext()

    def record(self, event: Event) -> None:
        """Forget the event."""

    def start_attempt(self, event: AttemptStarted) -> "DisabledScope":  # noqa: ARG002  the port's signature
        """Return the same nothing."""
        return self

    def finish(self, event: RequestFinished | AttemptFinished) -> None:
        """Forget the end."""


class DisabledRecorder:
    """Satisfies `otel.events.Recorder`."""

    def __init__(self) -> None:
        self._scope = DisabledScope()

    def record(self, event: Event) -> None:
        """Forget the event."""

    def start_request(self, event: RequestReceived) -> DisabledScope:  # noqa: ARG002  the port's signature
        """Return a scope that forgets."""
        return self._scope
