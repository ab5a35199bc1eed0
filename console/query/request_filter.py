"""The filters of the request log, as conditions on the table `requests`."""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from console.query.conditions import NEVER, Condition, any_of, between, either, every
from console.query.paging import Source
from console.query.times import NANO
from console.query.view import View
from console.store.read_logs import REQUEST_COLUMNS
from otel.catalogue import semconv

FIELDS: Final[Mapping[str, str]] = {
    name: name
    for name in (
        "provider", "model", "outcome", "call_status", "error_kind", "key_id", "plan", "method", "path", "operation",
        "cost_source", "limit_type", "cancel_phase",
    )
}  # fmt: skip
"""Query parameters that name a column with text."""
WORDS_OF: Final[Mapping[str, Sequence[str]]] = {
    "outcome": semconv.REQUEST_OUTCOMES,
    "call_status": semconv.CALL_STATUSES,
    "operation": semconv.LLM_OPERATIONS,
    "cost_source": semconv.COST_SOURCES,
    "limit_type": semconv.LIMIT_TYPES,
    "cancel_phase": semconv.CANCEL_PHASES,
}
"""The fields with a fixed set of values. `error_kind` has none: beside those of attempts there are others, as `shutdown`."""

FLAGS: Final = ("stream", "cached")

REQUESTS: Final = Source("requests", "requests_by_time", "log", "time_ns", REQUEST_COLUMNS)
_INDICES: Final[Mapping[str, str]] = {
    "key_id": "requests_by_key",
    "provider": "requests_by_provider",
    "model": "requests_by_model",
}

_CLASS_LENGTH: Final = 3
_MS_PER_SECOND: Final = 1_000


class Range(msgspec.Struct, frozen=True):
    """Inclusive bounds; None: no bound."""

    low: float | None = None
    high: float | None = None


class RequestFilter(msgspec.Struct, frozen=True, kw_only=True):
    """What a request must be like; empty: anything."""

    fields: Mapping[str, Sequence[str]] = {}
    """By a name of `FIELDS`: one of the values."""
    flags: Mapping[str, bool] = {}
    statuses: Sequence[str] = ()
    """Codes, or classes such as `5xx`."""
    services: Sequence[str] = ()
    trace_ids: Sequence[bytes] = ()
    latency_seconds: Range = Range()
    tokens: Range = Range()
    cost_usd: Range = Range()
    words: str | None = None
    """Free text; empty finds nothing, None does not filter."""

    def source(self) -> Source:
        """Return the table by the index that fits best: one trace, key, provider or model, failures, else time."""
        if len(self.trace_ids) == 1:
            return REQUESTS._replace(
                by_index="requests_by_trace", prefix=Condition("trace_id = ?", (self.trace_ids[0],))
            )
        for name, index in _INDICES.items():
            values = self.fields.get(name, ())
            if len(values) == 1:
                return REQUESTS._replace(by_index=index, prefix=Condition(f"{name} = ?", (values[0],)))
        if tuple(self.fields.get("outcome", ())) == ("error",):
            return REQUESTS._replace(by_index="requests_failed", prefix=Condition("outcome = 'error'"))
        return REQUESTS

    def condition(self, view: View) -> Condition:
        """Return the condition; `words` are not part of it."""
        services = None
        if self.services:
            services = any_of("resource_id", view.resource_ids(tuple(self.services))) or NEVER
        low, high = self.latency_seconds.low, self.latency_seconds.high
        return every(
            *(any_of(FIELDS[name], values) for name, values in self.fields.items()),
            *(Condition(f"{name} = ?", (int(value),)) for name, value in self.flags.items() if name in FLAGS),
            _status_condition(self.statuses),
            services,
            any_of("trace_id", self.trace_ids),
            between("duration_ms", _scaled(low, _MS_PER_SECOND), _scaled(high, _MS_PER_SECOND)),
            between("(input_tokens + output_tokens)", self.tokens.low, self.tokens.high),
            between("cost_nanousd", _scaled(self.cost_usd.low, NANO), _scaled(self.cost_usd.high, NANO)),
        )


def _scaled(bound: float | None, factor: int) -> float | None:
    return None if bound is None else bound * factor


def _status_condition(statuses: Sequence[str]) -> Condition | None:
    """Return the condition; raises ValueError for what is neither a code nor a class."""
    codes: list[int] = []
    classes: list[Condition | None] = []
    for status in statuses:
        if len(status) == _CLASS_LENGTH and status[0] in "12345" and status[1:] == "xx":
            first = int(status[0]) * 100
            classes.append(between("status", first, first + 99))
        elif len(status) == _CLASS_LENGTH and status.isascii() and status.isdigit():
            codes.append(int(status))
        else:
            raise ValueError(f"status={status!r} is neither a code such as 502 nor a class such as 5xx")
    return either(any_of("status", codes), *classes)
