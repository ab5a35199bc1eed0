"""The one log line of each HTTP request.

All values are numbers or bounded: never a prompt, completion, raw path, header or key.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final, Literal, TypeAlias

from otel.events import CallerIdentified, CallFinished, RateLimited, RequestFinished
from otel.labels import LabelBounds
from otel.logs.writer import FieldValue
from otel.usage import NANO, Usage

LOGGER: Final = "gatewayz.request"

Outcome: TypeAlias = Literal["ok", "refused", "error", "cancelled"]

_LEVELS: Final[Mapping[Outcome, str]] = {"error": "error", "refused": "warning"}
# As int: comparing with the enum member costs 0.5 µs each time.
_CLIENT_ERROR: Final = int(HTTPStatus.BAD_REQUEST)
_SERVER_ERROR: Final = int(HTTPStatus.INTERNAL_SERVER_ERROR)
_CLIENT_LEFT: Final = 499
"""No standard status: the client left before the response began."""


class RequestSummary:
    """Collects the fields of one request's log line. Used from the request's own task."""

    def __init__(self, method: str, path: str, bounds: LabelBounds) -> None:
        self._bounds = bounds
        self._method = method
        self._path = path
        self.exception_type: str | None = None
        self.limit_type: str | None = None
        self.caller: CallerIdentified | None = None
        self.call: CallFinished | None = None

    def add(self, event: CallerIdentified | CallFinished | RateLimited) -> None:
        """Store what the line needs from an event."""
        if isinstance(event, CallerIdentified):
            self.caller = event
        elif isinstance(event, CallFinished):
            self.call = event
        else:
            self.limit_type = event.limit_type

    def outcome(self, finished: RequestFinished) -> Outcome:
        """Return the outcome: `error` for a 5xx, exception or broken stream, `refused` for a 4xx."""
        if finished.outcome == "error" or finished.status_code >= _SERVER_ERROR:
            return "error"
        if _CLIENT_ERROR <= finished.status_code != _CLIENT_LEFT:
            return "refused"
        if self.call is not None and self.call.status == "error":
            return "error"  # The status was sent before the stream broke.
        return "cancelled" if finished.outcome == "cancelled" else "ok"

    def error_type(self, finished: RequestFinished) -> str | None:
        """Return the exception type, the call's `error_kind` or the status of a failed request.

        Otherwise None.
        """
        if self.outcome(finished) != "error":
            return None
        kind = None if self.call is None else self.call.error_kind
        return self.exception_type or kind or str(finished.status_code)

    def level(self, finished: RequestFinished) -> str:
        """Return the level: error for errors, warning for refusals, otherwise info."""
        return _LEVELS.get(self.outcome(finished), "info")

    def message(self, finished: RequestFinished) -> str:
        """Return the line's message."""
        return f"{self._method} {self._path} {finished.status_code}"

    def fields(self, finished: RequestFinished) -> dict[str, FieldValue]:
        """Return the fields; those that are None do not apply and are omitted."""
        fields: dict[str, FieldValue] = {
            "method": self._method,
            "path": self._path,
            "status": finished.status_code,
            "outcome": self.outcome(finished),
            "duration_ms": round(finished.duration_seconds * 1000, 3),
            "response_bytes": finished.response_bytes,
            "exception_type": self.exception_type,
            "limit_type": self.limit_type,
        }
        if self.caller is not None:
            fields |= {"key_id": self.caller.key_id, "plan": self.caller.plan}
        if self.call is not None:
            fields |= self._call_fields(self.call)
        return fields

    def _call_fields(self, call: CallFinished) -> dict[str, FieldValue]:
        """Return the fields of the LLM call."""
        return {
            "operation": call.operation,
            "model": self._bounds.model(call.model),
            "provider": None if call.provider is None else self._bounds.provider(call.provider),
            "call_status": call.status,
            "error_kind": call.error_kind,
            "cancel_phase": call.cancel_phase,
            "stream": call.stream,
            "cached": call.cached,
            "attempts": call.attempts,
            "input_tokens": call.usage.input_tokens,
            "output_tokens": call.usage.output_tokens,
            "usage_estimated": call.usage.estimated or None,
            "cost_usd": call.usage.cost_nanousd / NANO,
            "cost_source": call.usage.cost_source,
            **_details(call.usage),
        }


def _details(usage: Usage) -> dict[str, FieldValue]:
    """Return the fields of what most calls do not have."""
    return {
        "cached_tokens": usage.cached_tokens or None,
        "cache_write_tokens": usage.cache_write_tokens or None,
        "reasoning_tokens": usage.reasoning_tokens or None,
        "input_audio_tokens": usage.input_audio_tokens or None,
        "output_audio_tokens": usage.output_audio_tokens or None,
        "unpriced_tokens": usage.unpriced_tokens or None,
        "exposure_usd": usage.exposure_nanousd / NANO if usage.exposure_nanousd else None,
        "reported_cost_usd": None if usage.reported_nanousd is None else usage.reported_nanousd / NANO,
    }
