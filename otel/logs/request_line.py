"""The one log line of each HTTP request.

All values are numbers or bounded: never a prompt, completion, raw path, header or key.
"""

import math
from collections.abc import Hashable, Mapping
from http import HTTPStatus
from typing import Final, Literal, TypeAlias

import msgspec
from opentelemetry.context import Context

from otel.catalogue import semconv
from otel.events import CallerIdentified, CallFinished, OverheadMeasured, RequestFinished
from otel.events.usage import NANO, Usage, has_details
from otel.labels import LabelBounds
from otel.logs.line_template import Line, LineTemplate, line_template
from otel.logs.writer import LogWriter

LOGGER: Final = "gatewayz.request"

Outcome: TypeAlias = Literal["ok", "refused", "error", "cancelled"]

_LEVELS: Final[Mapping[Outcome, str]] = {"error": "error", "refused": "warning"}
# As int: comparing with the enum member costs 0.5 µs each time.
_CLIENT_ERROR: Final = int(HTTPStatus.BAD_REQUEST)
_SERVER_ERROR: Final = int(HTTPStatus.INTERNAL_SERVER_ERROR)
_CLIENT_LEFT: Final = 499
"""No standard status: the client left before the response began."""

_MAX_TEMPLATES: Final = 2_000
"""More combinations than a configuration has; a bound, so that rare ones cannot fill the memory."""

_NUMBERS: Final = {
    "duration_ms": "%.3f",
    "overhead_ms": "%.3f",
    "response_bytes": "%d",
    "input_tokens": "%d",
    "output_tokens": "%d",
    "cost_usd": "%r",
}
"""What differs between lines of one template, in the order of the line's fields."""


class RequestLine(Line, omit_defaults=True, kw_only=True):
    """The fields of the line, in their order; those that are None are omitted."""

    method: str
    path: str
    status: int
    outcome: Outcome
    duration_ms: float
    overhead_ms: float | None = None
    response_bytes: int
    exception_type: str | None = None
    limit_type: str | None = None
    key_id: str | None = None
    plan: str | None = None
    operation: str | None = None
    model: str | None = None
    provider: str | None = None
    call_status: str | None = None
    error_kind: str | None = None
    cancel_phase: str | None = None
    stream: bool | None = None
    cached: bool | None = None
    attempts: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    usage_estimated: bool | None = None
    cost_usd: float | None = None
    cost_source: str | None = None
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None
    input_audio_tokens: int | None = None
    output_audio_tokens: int | None = None
    unpriced_tokens: int | None = None
    exposure_usd: float | None = None
    reported_cost_usd: float | None = None
    tags: Mapping[str, str] | None = None


class RequestSummary(msgspec.Struct):
    """Collects what the line of one request says. Used from the request's own task."""

    exception_type: str | None = None
    limit_type: str | None = None
    caller: CallerIdentified | None = None
    call: CallFinished | None = None
    overhead: OverheadMeasured | None = None

    def outcome(self, finished: RequestFinished) -> Outcome:
        """Return the outcome: `error` for a 5xx, exception or broken stream, `refused` for a 4xx."""
        if finished.outcome == "error" or finished.status_code >= _SERVER_ERROR:
            return "error"
        if _CLIENT_ERROR <= finished.status_code != _CLIENT_LEFT:
            return "refused"
        if self.call is not None and self.call.status == "error":
            return "error"  # The status was sent before the stream broke.
        return "cancelled" if finished.outcome == "cancelled" else "ok"

    def error_type(self, finished: RequestFinished) -> str:
        """Return the exception type, the call's `error_kind` or the status of a failed request."""
        kind = None if self.call is None else self.call.error_kind
        return self.exception_type or kind or str(finished.status_code)


def line_key(  # noqa: PLR0917  keyword arguments cost as much as a field
    method: str, path: str, status_code: int, outcome: Outcome, summary: RequestSummary, call: CallFinished
) -> Hashable:
    """Return all that decides the text of a line, but for its numbers."""
    return (
        method,
        path,
        status_code,
        outcome,
        summary.exception_type,
        summary.limit_type,
        summary.caller,
        call.operation,
        call.model,
        call.provider,
        call.status,
        call.error_kind,
        call.cancel_phase,
        call.stream,
        call.cached,
        call.attempts,
        call.usage.cost_source,
    )


class RequestLines:
    """Writes the lines. Safe from any thread.

    Lines of calls with the same outcome differ in a few numbers, so that a template is kept for them.
    """

    def __init__(self, logs: LogWriter, bounds: LabelBounds, logger: str) -> None:
        self._logs = logs
        self._bounds = bounds
        self._logger = logger
        self._templates: dict[Hashable, LineTemplate] = {}

    def write(  # noqa: PLR0917  keyword arguments cost as much as a field
        self,
        method: str,
        path: str,
        summary: RequestSummary,
        finished: RequestFinished,
        outcome: Outcome,
        context: Context,
    ) -> None:
        """Write the line: an error for errors, a warning for refusals; `method` and `path` are bounded."""
        call, overhead, seconds = summary.call, summary.overhead, finished.duration_seconds
        if call is None or overhead is None or call.tags or has_details(call.usage) or not seconds < math.inf:
            self._logs.write(self._line(method, path, summary, finished, outcome), context)
            return
        usage = call.usage
        key = line_key(method, path, finished.status_code, outcome, summary, call)
        template = self._templates.get(key)
        if template is None:
            template = self._template(key, self._line(method, path, summary, finished, outcome), call)
        numbers = seconds * 1000, overhead.seconds * 1000, finished.response_bytes
        of_usage = usage.input_tokens, usage.output_tokens, usage.cost_nanousd / NANO
        self._logs.write_known(template, numbers + of_usage, context)

    def template(
        self,
        key: Hashable,
        finished: RequestFinished,
        summary: RequestSummary,
        call: CallFinished,
        route: Mapping[str, str],
    ) -> LineTemplate | None:
        """Return the template of the line of a request that ended well, None where it has names without end."""
        line = self._line(route[semconv.METHOD], route[semconv.PATH], summary, finished, "ok")
        template = self._template(key, line, call)
        return template if self._templates.get(key) is template else None

    def _template(self, key: Hashable, line: RequestLine, call: CallFinished) -> LineTemplate:
        """Return the template of a line, from now on from the cache."""
        template = line_template(line, _NUMBERS)
        if line.model == call.model and line.provider == call.provider:  # other names have no end
            if len(self._templates) >= _MAX_TEMPLATES:
                self._templates.clear()
            self._templates[key] = template
        return template

    def _line(
        self, method: str, path: str, summary: RequestSummary, finished: RequestFinished, outcome: Outcome
    ) -> RequestLine:
        """Return the fields; those that do not apply stay None."""
        caller, call, overhead = summary.caller, summary.call, summary.overhead
        line = RequestLine(
            level=_LEVELS.get(outcome, "info"),
            logger=self._logger,
            message=f"{method} {path} {finished.status_code}",
            method=method,
            path=path,
            status=finished.status_code,
            outcome=outcome,
            duration_ms=round(finished.duration_seconds * 1000, 3),
            overhead_ms=None if overhead is None else round(overhead.seconds * 1000, 3),
            response_bytes=finished.response_bytes,
            exception_type=summary.exception_type,
            limit_type=summary.limit_type,
            key_id=None if caller is None else caller.key_id,
            plan=None if caller is None else caller.plan,
        )
        if call is not None:
            self._add_call(line, call)
        return line

    def _add_call(self, line: RequestLine, call: CallFinished) -> None:
        """Set the fields of the LLM call."""
        usage = call.usage
        line.operation = call.operation
        line.model = self._bounds.model(call.model)
        line.provider = None if call.provider is None else self._bounds.provider(call.provider)
        line.call_status = call.status
        line.error_kind = call.error_kind
        line.cancel_phase = call.cancel_phase
        line.stream = call.stream
        line.cached = call.cached
        line.attempts = call.attempts
        line.input_tokens = usage.input_tokens
        line.output_tokens = usage.output_tokens
        line.usage_estimated = usage.estimated or None
        line.cost_usd = usage.cost_nanousd / NANO
        line.cost_source = usage.cost_source
        line.tags = call.tags or None
        if has_details(usage):
            _add_details(line, usage)


def _add_details(line: RequestLine, usage: Usage) -> None:
    """Set what most calls do not have."""
    line.cached_tokens = usage.cached_tokens or None
    line.cache_write_tokens = usage.cache_write_tokens or None
    line.reasoning_tokens = usage.reasoning_tokens or None
    line.input_audio_tokens = usage.input_audio_tokens or None
    line.output_audio_tokens = usage.output_audio_tokens or None
    line.unpriced_tokens = usage.unpriced_tokens or None
    line.exposure_usd = usage.exposure_nanousd / NANO if usage.exposure_nanousd else None
    line.reported_cost_usd = None if usage.reported_nanousd is None else usage.reported_nanousd / NANO
