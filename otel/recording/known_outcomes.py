"""What a request's end needs that many requests share: looked up once, where each signal would look for its part.

Only of requests that ended well, with one call: their series, their line and their span's attributes then
follow from the same few names.
"""

import math
from collections.abc import Hashable
from http import HTTPStatus
from typing import Final, NamedTuple

from opentelemetry.context import Context
from opentelemetry.trace import Span

from otel.events import CallFinished, RequestFinished, RequestReceived
from otel.events.usage import NANO, has_details
from otel.logs.line_template import LineTemplate
from otel.logs.request_line import RequestLines, RequestSummary, line_key
from otel.logs.writer import LogWriter
from otel.metrics.event_series import EventSeries
from otel.metrics.label_set import LabelSet
from otel.metrics.measurements import Measurements
from otel.recording.guard import Guard
from otel.traces.fast_span import FastSpan
from otel.traces.known_attributes import KnownAttributes
from otel.traces.span_parts import UNSET
from otel.traces.spans import SpanWriter

_MAX_KEPT: Final = 2_000
"""More combinations than a configuration has; a bound, so that rare ones cannot fill the memory."""

_REFUSED: Final = int(HTTPStatus.BAD_REQUEST)


class KnownOutcome(NamedTuple):
    """What requests share that end in one way."""

    series: EventSeries
    template: LineTemplate
    attributes: KnownAttributes


class KnownOutcomes:
    """Keeps them by the names that events have. Safe from any thread: two may make the same twice."""

    def __init__(
        self, measurements: Measurements, logs: LogWriter, lines: RequestLines, spans: SpanWriter, guard: Guard
    ) -> None:
        self._measurements = measurements
        self._logs = logs
        self._lines = lines
        self._spans = spans
        self._guard = guard
        self._of_end = spans.of_end
        self._kept: dict[Hashable, KnownOutcome] = {}

    def finish(  # noqa: PLR0917  keyword arguments cost as much as a field
        self,
        received: RequestReceived,
        event: RequestFinished,
        summary: RequestSummary,
        route: LabelSet,
        span: Span,
        context: Context,
    ) -> bool:
        """End a request of a known outcome; False where its signals have to find their parts themselves."""
        call, overhead, seconds = summary.call, summary.overhead, event.duration_seconds
        if call is None or overhead is None or type(span) is not FastSpan or not seconds < math.inf:
            return False
        usage = call.usage
        if call.tags or has_details(usage):
            return False
        key = line_key(received.method, received.path, event.status_code, event.outcome, summary, call)
        known = self._kept.get(key) or self._learn(key, event, summary, call, route)
        if known is None:
            return False
        series, template, attributes = known
        overhead_seconds, size, cost_usd = overhead.seconds, event.response_bytes, usage.cost_nanousd / NANO
        # Each step has its own guard, so that a failing span costs neither the count nor the line.
        try:
            self._measurements.add(series, (seconds,), context)
        except Exception as error:  # noqa: BLE001  counted: it must not fail the request
            self._guard.failed(error)
        try:
            values = seconds * 1000, overhead_seconds * 1000, size, usage.input_tokens, usage.output_tokens, cost_usd
            self._logs.write_known(template, values, context)
        except Exception as error:  # noqa: BLE001  as above
            self._guard.failed(error)
        try:
            span.end_with(attributes, self._of_end, (cost_usd, overhead_seconds, size), UNSET)
        except Exception as error:  # noqa: BLE001  as above
            self._guard.failed(error)
        return True

    def _learn(
        self, key: Hashable, event: RequestFinished, summary: RequestSummary, call: CallFinished, route: LabelSet
    ) -> KnownOutcome | None:
        """Return the outcome, from now on from the cache."""
        if summary.outcome(event) != "ok" or event.status_code >= _REFUSED or event.outcome != "ok":
            return None
        series = self._measurements.request_series(route, event.status_code)
        if series is None:
            return None
        template = self._lines.template(key, event, summary, call, route)
        attributes = self._spans.end_attributes(event, None, summary.caller, call)
        if template is None or attributes is None:
            return None
        if len(self._kept) >= _MAX_KEPT:
            self._kept.clear()
        known = self._kept[key] = KnownOutcome(series, template, attributes)
        return known
