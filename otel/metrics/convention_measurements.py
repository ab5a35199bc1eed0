"""Records events under the names and attributes of the semantic conventions, where they are opted in to.

Values are those of the documented families. Attributes cannot be renamed by a view, so these are
instruments of a meter of their own. Used under the lock of the documented measurements, so that a
collection sees both or neither.
"""

from collections.abc import Iterable
from http import HTTPStatus
from typing import Final, TypeAlias, cast

from opentelemetry.context import Context

from otel.catalogue import conventions, semconv
from otel.catalogue.spec import MetricSpec
from otel.events import AttemptFinished, AttemptStarted, QueryFinished, RequestFinished, RequestReceived
from otel.labels import LabelBounds
from otel.metrics.instruments import Instruments
from otel.metrics.label_set import LabelSet

Attributes: TypeAlias = tuple[tuple[str, str | int | None], ...]
"""Keys and values; one that is None does not apply. Status codes and ports are integers, as in the conventions."""

_MAX_KNOWN: Final = 10_000
"""More label sets than the series limits let through; sets beyond it are created each time and not stored."""


class ConventionMeasurements:
    """Turns events into measurements of `families`."""

    def __init__(self, instruments: Instruments, bounds: LabelBounds, families: Iterable[MetricSpec]) -> None:
        self._instruments = instruments
        self._bounds = bounds
        self._families = frozenset(spec.name for spec in families)
        self._known: dict[Attributes, LabelSet] = {}

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
        attributes: Attributes = (
            *entry,
            (conventions.ROUTE, None if path == semconv.UNMATCHED else path),
            (conventions.RESPONSE_STATUS, int(status_code)),
            (conventions.PROTOCOL_VERSION, version if version in conventions.PROTOCOL_VERSIONS else None),
            (conventions.ERROR_TYPE, status_code if error_type == str(event.status_code) else error_type),
        )
        self._record(conventions.SERVER_DURATION, event.duration_seconds, attributes, context)

    def attempt_finished(self, event: AttemptFinished, started: AttemptStarted, context: Context) -> None:
        """An upstream attempt ended; one whose client left counts its tokens only."""
        server: Attributes = ()
        if started.server_address:
            server = (
                (conventions.SERVER_ADDRESS, started.server_address),
                (conventions.SERVER_PORT, started.server_port),
            )
        operation: Attributes = (
            (conventions.GEN_AI_OPERATION, started.operation),
            (conventions.GEN_AI_PROVIDER, self._bounds.provider(started.provider)),
            (conventions.GEN_AI_MODEL, self._bounds.model(started.model)),
            *server,
        )
        if event.status != "cancelled":
            error = (conventions.ERROR_TYPE, event.error_kind)
            self._record(conventions.OPERATION_DURATION, event.duration_seconds, (*operation, error), context)
            status = (conventions.RESPONSE_STATUS, _status(event.http_status))
            request: Attributes = ((conventions.REQUEST_METHOD, "POST"), *server, status, error)
            self._record(conventions.HTTP_CLIENT_DURATION, event.duration_seconds, request, context)
        if event.first_token_seconds is not None:
            self._record(conventions.TIME_TO_FIRST_CHUNK, event.first_token_seconds, operation, context)
        for token_type, tokens in (("input", event.usage.input_tokens), ("output", event.usage.output_tokens)):
            if tokens:
                attributes = (*operation, (conventions.GEN_AI_TOKEN_TYPE, token_type))
                self._record(conventions.TOKEN_USAGE, tokens, attributes, context)

    def query_finished(self, event: QueryFinished, context: Context | None) -> None:
        """A database statement ended."""
        attributes: Attributes = (
            (conventions.DB_SYSTEM, event.database),
            (conventions.DB_OPERATION, event.operation.upper()),
            (conventions.ERROR_TYPE, event.error_type),
        )
        self._record(conventions.QUERY_DURATION, event.duration_seconds, attributes, context)

    def _entry(self, received: RequestReceived) -> Attributes:
        """Return what is known of a request when it arrives."""
        return (
            (conventions.REQUEST_METHOD, self._bounds.method(received.method)),
            (conventions.SCHEME, conventions.scheme(received.scheme)),
        )

    def _record(self, name: str, value: float, attributes: Attributes, context: Context | None) -> None:
        """Record a value of a family that is opted in to."""
        if name in self._families:
            self._instruments.record(name, value, self._labels(attributes), context)

    def _labels(self, attributes: Attributes) -> LabelSet:
        """Return the label set of these attributes, the same object each time."""
        found = self._known.get(attributes)
        if found is None:
            applying = {key: value for key, value in attributes if value is not None}
            # Label sets of documented families hold text alone; the SDK takes integers as well.
            found = LabelSet(cast("dict[str, str]", applying))
            if len(self._known) < _MAX_KNOWN:
                self._known[attributes] = found
        return found


def _status(code: int | None) -> int | None:
    """Return a provider's status code, None where HTTP does not define it."""
    return code if code is not None and HTTPStatus.CONTINUE <= code <= 599 else None  # noqa: PLR2004  the range that HTTP defines
