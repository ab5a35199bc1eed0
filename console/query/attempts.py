"""The attempts of a request: what their client spans and their log lines tell of them."""

from collections.abc import Sequence
from typing import Any, Final, TypeVar

from console.query.shapes.traces import Attempt
from console.query.times import SECOND
from console.store.rows import LogRecord, Span

_CLIENT: Final = 3
_NUMBER: Final = ".attempt.number"
_LOGGER: Final = "gatewayz.attempt"
_MILLION: Final = 1_000_000
T = TypeVar("T")


def attempts_of(
    spans: Sequence[Span], logs: Sequence[LogRecord], fields: Sequence[dict[str, Any]], began_ns: int
) -> list[Attempt]:
    """Return the attempts in their order. `fields` are the decoded bodies of the log records."""
    lines = [
        line
        for record, line in zip(logs, fields, strict=True)
        if record.logger == _LOGGER or line.get("logger") == _LOGGER
    ]
    clients = [span for span in spans if span.kind == _CLIENT and _is_attempt(span)]
    clients.sort(key=lambda span: (span.start_ns, span.id))
    return [_attempt(span, lines, began_ns) for span in clients]


def _is_attempt(span: Span) -> bool:
    return "gen_ai.provider.name" in span.attributes or "gen_ai.system" in span.attributes


def _attempt(span: Span, lines: list[dict[str, Any]], began_ns: int) -> Attempt:
    attributes = span.attributes
    provider = _text(attributes, "gen_ai.provider.name") or _text(attributes, "gen_ai.system")
    error_kind = _text(attributes, "error.type")
    line = _line_of(lines, provider, error_kind)
    tokens_in, tokens_out = (
        _whole(attributes, "gen_ai.usage.input_tokens"),
        _whole(attributes, "gen_ai.usage.output_tokens"),
    )
    cost = _number(attributes, "gatewayz.cost_usd")
    tokens = (tokens_in or 0) + (tokens_out or 0)
    return Attempt(
        span_id=span.span_id,
        number=_whole(attributes, "gatewayz.attempt.number"),
        provider=provider,
        model=_text(attributes, "gen_ai.request.model"),
        upstream_model=_text(attributes, "gatewayz.upstream_model"),
        status=_text(attributes, "gatewayz.attempt.status"),
        error_kind=error_kind,
        fault=_text(attributes, "gatewayz.fault"),
        http_status=_whole(attributes, "http.response.status_code"),
        reason=_text(line, "reason"),
        hint=_text(line, "hint"),
        offset_seconds=(span.start_ns - began_ns) / SECOND,
        duration_seconds=span.duration_ns / SECOND,
        ttft_seconds=_number(attributes, "gen_ai.response.time_to_first_chunk"),
        longest_gap_seconds=_number(attributes, "gatewayz.longest_chunk_gap_seconds"),
        pool_wait_seconds=_number(attributes, "gatewayz.pool_wait_seconds"),
        input_tokens=tokens_in,
        output_tokens=tokens_out,
        cached_tokens=_whole(attributes, "gen_ai.usage.cache_read.input_tokens"),
        reasoning_tokens=_whole(attributes, "gen_ai.usage.reasoning.output_tokens"),
        usage_estimated=_flag(attributes, "gatewayz.usage.estimated"),
        cost_usd=cost,
        cost_source=_text(attributes, "gatewayz.cost_source"),
        reported_cost_usd=_number(attributes, "gatewayz.reported_cost_usd"),
        exposure_usd=_number(attributes, "gatewayz.exposure_usd"),
        usd_per_million_tokens=None if cost is None or not tokens else cost / tokens * _MILLION,
    )


def _line_of(lines: list[dict[str, Any]], provider: str | None, error_kind: str | None) -> dict[str, Any]:
    """Take the first line of a failed attempt at the provider: lines and spans of one request have the same order."""
    for index, line in enumerate(lines):
        if error_kind is not None and line.get("provider") == provider and line.get("error_kind") == error_kind:
            return lines.pop(index)
    return {}


def _text(attributes: Any, key: str) -> str | None:
    value = attributes.get(key)
    return value if isinstance(value, str) else None


def _whole(attributes: Any, key: str) -> int | None:
    value = attributes.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _number(attributes: Any, key: str) -> float | None:
    value = attributes.get(key)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _flag(attributes: Any, key: str) -> bool | None:
    value = attributes.get(key)
    return value if isinstance(value, bool) else None
