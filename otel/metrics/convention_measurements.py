"""Records events under the names and attributes of the semantic conventions, where they are opted in to.

Values are those of the documented families. Attributes cannot be renamed by a view, so these are
instruments of a meter of their own. Used under the lock of the documented measurements, so that a
collection sees both or neither.
"""

from collections.abc import Iterable
from http import HTTPStatus
from typing import cast

from opentelemetry.context import Context

from otel.catalogue import conventions, semconv
from otel.catalogue.spec import MetricSpec
from otel.events import AttemptFinished, AttemptStarted, QueryFinished, RequestFinished, RequestReceived
from otel.labels import LabelBounds
from otel.metrics.instruments import Instruments
from otel.metrics.label_set import LabelSet


class ConventionMeasurements:
    """Turns events into measurements of `families`."""

    def __init__(self, instruments: Instruments, bounds: LabelBounds, families: Iterable[MetricSpec]) -> None:
        self._instruments = instruments
        self._bounds = bounds
        self._families = frozenset(spec.name for spec in families)
        self._no_labels = LabelSet()

    def request_received(self, event: RequestReceived) -> None:
        """A request arrived."""
        self._record(conventions.ACTIVE_REQUESTS, 1, self._entry(event), None)

    def request_finished(
        self, event: RequestFinished, received: RequestReceived, error_type: str | None, context: Context
    ) -> None:
        """A request ended; `error_type` is that of its span."""
        entry = self._entry(received)
        self._record(conventions.ACTIVE_REQUESTS, -1, entry, None)
        path = self._bounds.path(received.path)
        version = received.protocol_version
        status_code = self._bounds.status_code(event.status_code)
        labels = _plus(entry, conventions.ROUTE, None if path == semconv.UNMATCHED else path)
        labels = _plus(labels, conventions.RESPONSE_STATUS, int(status_code))
        labels = _plus(
            labels, conventions.PROTOCOL_VERSION, version if version in conventions.PROTOCOL_VERSIONS else None
        )
        error_type = status_code if error_type == str(event.status_code) else error_type
        labels = _plus(labels, conventions.ERROR_TYPE, error_type)
        self._record(conventions.SERVER_DURATION, event.duration_seconds, labels, context)

    def attempt_finished(self, event: AttemptFinished, started: AttemptStarted, context: Context) -> None:
        """An upstream attempt ended; one whose client left counts its tokens only."""
        operation = _with_server(
            self._no_labels.plus(conventions.GEN_AI_OPERATION, started.operation)
            .plus(conventions.GEN_AI_PROVIDER, self._bounds.provider(started.provider))
            .plus(conventions.GEN_AI_MODEL, self._bounds.model(started.model)),
            started,
        )
        if event.status != "cancelled":
            labels = _plus(operation, conventions.ERROR_TYPE, event.error_kind)
            self._record(conventions.OPERATION_DURATION, event.duration_seconds, labels, context)
            request = _with_server(self._no_labels.plus(conventions.REQUEST_METHOD, "POST"), started)
            request = _plus(request, conventions.RESPONSE_STATUS, _status(event.http_status))
            request = _plus(request, conventions.ERROR_TYPE, event.error_kind)
            self._record(conventions.HTTP_CLIENT_DURATION, event.duration_seconds, request, context)
        if event.first_token_seconds is not None:
            self._record(conventions.TIME_TO_FIRST_CHUNK, event.first_token_seconds, operation, context)
        for token_type, tokens in (("input", event.usage.input_tokens), ("output", event.usage.output_tokens)):
            if tokens:
                labels = operation.plus(conventions.GEN_AI_TOKEN_TYPE, token_type)
                self._record(conventions.TOKEN_USAGE, tokens, labels, context)

    def query_finished(self, event: QueryFinished, context: Context | None) -> None:
        """A database statement ended."""
        system = self._no_labels.plus(conventions.DB_SYSTEM, event.database)
        operation = system.plus(conventions.DB_OPERATION, event.operation.upper())
        labels = _plus(operation, conventions.ERROR_TYPE, event.error_type)
        self._record(conventions.QUERY_DURATION, event.duration_seconds, labels, context)

    def _entry(self, received: RequestReceived) -> LabelSet:
        """Return what is known of a request when it arrives."""
        method = self._no_labels.plus(conventions.REQUEST_METHOD, self._bounds.method(received.method))
        return method.plus(conventions.SCHEME, conventions.scheme(received.scheme))

    def _record(self, name: str, value: float, labels: LabelSet, context: Context | None) -> None:
        """Record a value of a family that is opted in to."""
        if name in self._families:
            self._instruments.record(name, value, labels, context)


def _plus(labels: LabelSet, key: str, value: str | int | None) -> LabelSet:
    """Return the set with an attribute that may be an integer; None does not apply and adds nothing."""
    # Label sets of documented families hold text alone; the SDK takes integers as well.
    return labels if value is None else labels.plus(key, cast("str", value))


def _with_server(labels: LabelSet, started: AttemptStarted) -> LabelSet:
    """Return the set with the provider's address, where it is known."""
    if not started.server_address:
        return labels
    return _plus(
        labels.plus(conventions.SERVER_ADDRESS, started.server_address), conventions.SERVER_PORT, started.server_port
    )


def _status(code: int | None) -> int | None:
    """Return a provider's status code, None where HTTP does not define it."""
    return code if code is not None and HTTPStatus.CONTINUE <= code <= 599 else None  # noqa: PLR2004  the range that HTTP defines
