"""The fields of a gateway's request line, which is the JSON body of a log record (`otel/logs/request_line.py`)."""

from collections.abc import Mapping
from typing import Final

from console.receive.promoted import integer, nano, number, text
from console.store.values import Value, encode

REQUEST_LOGGER: Final = "gatewayz.request"


def flag(value: Value) -> int | None:
    """Return a boolean as a column holds it, else None."""
    return int(value) if isinstance(value, bool) else None


def tags(value: Value) -> str | None:
    """Return the tags as a JSON object of texts, else None."""
    if not isinstance(value, dict):
        return None
    found = {key: each for key, each in value.items() if isinstance(each, str)}
    return encode(found) if found else None


_FIELDS: Final = (
    ("method", text),
    ("path", text),
    ("status", integer),
    ("outcome", text),
    ("duration_ms", number),
    ("overhead_ms", number),
    ("response_bytes", integer),
    ("exception_type", text),
    ("limit_type", text),
    ("key_id", text),
    ("plan", text),
    ("operation", text),
    ("model", text),
    ("provider", text),
    ("call_status", text),
    ("error_kind", text),
    ("cancel_phase", text),
    ("stream", flag),
    ("cached", flag),
    ("attempts", integer),
    ("input_tokens", integer),
    ("output_tokens", integer),
    ("usage_estimated", flag),
    ("cost_usd", nano),
    ("cost_source", text),
    ("cached_tokens", integer),
    ("cache_write_tokens", integer),
    ("reasoning_tokens", integer),
    ("input_audio_tokens", integer),
    ("output_audio_tokens", integer),
    ("unpriced_tokens", integer),
    ("exposure_usd", nano),
    ("reported_cost_usd", nano),
    ("tags", tags),
)
"""In the order of the columns of `requests`."""


def request_columns(time_ns: int, trace_id: bytes | None, fields: Mapping[str, Value]) -> tuple[object, ...]:
    """Return the row of a request's line from `time_ns` on."""
    get = fields.get
    return (
        time_ns,
        trace_id,
        *(None if (value := get(name)) is None else convert(value) for name, convert in _FIELDS),
    )
