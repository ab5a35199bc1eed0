"""A recorder that keeps its events, without OpenTelemetry."""

import threading
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

from otel.events import (
    AttemptFinished,
    AttemptStarted,
    Event,
    RequestFinished,
    RequestReceived,
)

E = TypeVar("E")


class RecordedAttempt:
    """An attempt as it was started and, once it ended, how."""

    def __init__(self, started: AttemptStarted, traceparent: str, sink: list[object]) -> None:
        self.started = started
        self.finished: AttemptFinished | None = None
        self._traceparent = traceparent
        self._sink = sink

    @property
    def headers(self) -> Mapping[str, str]:
        """A well-formed `traceparent`."""
        return {"traceparent": self._traceparent}

    def finish(self, event: AttemptFinished) -> None:
        """Keep the first end; a second one is a programming error that the test should see."""
        if self.finished is not None:
            raise AssertionError(f"attempt {self.started.number} finished twice: {self.finished!r}, {event!r}")
        self.finished = event
        self._sink.append(event)


class RecordedRequest:
    """A request scope that keeps its events."""

    def __init__(self, received: RequestReceived, number: int, sink: list[object]) -> None:
        self.received = received
        self.finished: RequestFinished | None = None
        self.attempts: list[RecordedAttempt] = []
        self.events: list[object] = []
        self._number = number
        self._sink = sink

    @property
    def trace_id(self) -> str:
        """A trace id that counts requests, for readable failures."""
        return f"{self._number:032x}"

    def current(self) -> AbstractContextManager[None]:
        """Nothing becomes current."""
        return nullcontext()

    def record(self, event: Event) -> None:
        """Keep the event here and in the recorder."""
        self.events.append(event)
        self._sink.append(event)

    def start_attempt(self, event: AttemptStarted) -> RecordedAttempt:
        """Keep the attempt."""
        traceparent = f"00-{self.trace_id}-{len(self.attempts) + 1:016x}-01"
        attempt = RecordedAttempt(event, traceparent, self._sink)
        self.attempts.append(attempt)
        self._sink.append(event)
        return attempt

    def finish(self, event: RequestFinished) -> None:
        """Keep the first end; a second one is a programming error that the test should see."""
        if self.finished is not None:
            raise AssertionError(f"request finished twice: {self.finished!r}, {event!r}")
        self.finished = event
        self._sink.append(event)


class RecordingRecorder:
    """Satisfies `otel.events.Recorder`; `events` holds everything in order, from any thread."""

    def __init__(self) -> None:
        self.events: list[object] = []
        self.requests: list[RecordedRequest] = []
        self._lock = threading.Lock()

    def record(self, event: Event) -> None:
        """Keep the event."""
        self.events.append(event)

    def start_request(self, event: RequestReceived) -> RecordedRequest:
        """Keep the request and return its scope."""
        with self._lock:
            request = RecordedRequest(event, len(self.requests) + 1, self.events)
            self.requests.append(request)
        self.events.append(event)
        return request

    def start_attempt(self, event: AttemptStarted) -> RecordedAttempt:
        """Keep the attempt."""
        self.events.append(event)
        return RecordedAttempt(event, f"00-{0:032x}-{len(self.events):016x}-01", self.events)

    def of(self, kind: type[E]) -> list[E]:
        """Return the kept events of one type, in order."""
        return [event for event in self.events if isinstance(event, kind)]
