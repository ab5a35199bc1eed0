"""Hostile OTLP requests for the console: valid messages with odd values, and what mutation makes of their bytes and headers."""

import gzip
import json
import random
from typing import Any, Final, NamedTuple

from google.protobuf.json_format import MessageToJson
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

from tests.fuzz.hostile_values import TEXTS, mutate
from tests.harness.console import NOW_NS, any_value, log_record, logs, metrics, resource, span, traces

_TEXTS: Final = tuple(text.encode("utf-8", "replace").decode() for text in TEXTS)
_TIMES: Final = (0, 1, NOW_NS, NOW_NS + 1, NOW_NS - 3_600 * 10**9, 2**63 - 1, 2**63, 2**64 - 1)
_COUNTS: Final = (0, 1, 7, 2**31, 2**63 - 1, 2**63, 2**64 - 1)
_FLOATS: Final = (0.0, -1.5, 1e308, 5e-324, float("nan"), float("inf"), float("-inf"))
_NAMES: Final = (
    "gatewayz.provider", "gen_ai.system", "gen_ai.request.model", "http.route", "http.status_code", "error.type",
    "gatewayz.cost_usd", "gen_ai.usage.input_tokens", "service.name", "gen_ai.response.time_to_first_chunk", "x",
)  # fmt: skip
_FIELDS: Final = ("provider", "model", "status", "duration_ms", "cost_usd", "tags", "stream", "outcome", "message")
_MEDIA_TYPES: Final = ("application/json", "text/plain", "application/x-protobuf; x=y", "", "\x7f")


class ConsoleInput(NamedTuple):
    """One request."""

    kind: str
    path: str
    body: bytes
    headers: tuple[tuple[str, str], ...]


def make_input(rng: random.Random) -> ConsoleInput:
    """Return the next request."""
    path, message = rng.choice((_traces, _logs, _metrics))(rng)
    body = message.SerializeToString()
    media_type = "application/x-protobuf"
    kind = rng.choice(
        ("valid", "valid", "valid", "mutated", "mutated", "packed", "json", "mutated json", "headers", "other path")
    )
    headers: list[tuple[str, str]] = []
    if "json" in kind:
        body, media_type = MessageToJson(message, use_integers_for_enums=True).encode(), "application/json"
    if "mutated" in kind:
        body = mutate(rng, body)
    if kind == "packed":
        body = mutate(rng, gzip.compress(body, 1)) if rng.random() < 0.5 else gzip.compress(mutate(rng, body), 1)
        headers.append(("content-encoding", "gzip"))
    if kind == "headers":
        media_type = rng.choice(_MEDIA_TYPES)
        name = rng.choice(("content-encoding", "content-length", "host", "authorization", "traceparent"))
        headers.append((name, rng.choice(("", "gzip", "br", "-1", "9" * 30, "evil.example", "gzip, gzip"))))
    if kind == "other path":
        path = rng.choice(("/", "/v1/traces/", "/v1/metrics%00", "/v1/logs/../traces", "/V1/LOGS"))
    return ConsoleInput(kind, path, body, (("content-type", media_type), *headers))


def _value(rng: random.Random, depth: int = 0) -> Any:
    draw = rng.random()
    if draw < 0.5:
        return rng.choice(_TEXTS)
    if draw < 0.7:
        return rng.choice((0, -1, 2**63 - 1, -(2**63), True, None, *_FLOATS))
    if draw < 0.8:
        return rng.randbytes(rng.randrange(20))
    if depth > 4:
        return "deep"
    if draw < 0.9:
        return [_value(rng, depth + 1) for _ in range(rng.randrange(4))]
    return {rng.choice(_TEXTS): _value(rng, depth + 1) for _ in range(rng.randrange(4))}


def _attributes(rng: random.Random) -> dict[str, Any]:
    names = (rng.choice((rng.choice(_NAMES), rng.choice(_TEXTS))) for _ in range(rng.randrange(6)))
    return {name: _value(rng) for name in names}


def _origin(rng: random.Random) -> Any:
    return resource(service__name=_value(rng), service__version=_value(rng), x=_value(rng))


def _id(rng: random.Random, length: int) -> bytes:
    return rng.choice((rng.randbytes(length), rng.randbytes(length), bytes(length), b"", rng.randbytes(length + 1)))


def _traces(rng: random.Random) -> tuple[str, Any]:
    spans = []
    for _ in range(rng.randrange(4)):
        made = span(
            rng.choice(_TEXTS),
            _attributes(rng),
            trace_id=_id(rng, 16),
            span_id=_id(rng, 8),
            parent_span_id=_id(rng, 8),
            start_time_unix_nano=rng.choice(_TIMES),
            end_time_unix_nano=rng.choice(_TIMES),
            trace_state=rng.choice(_TEXTS),
            flags=rng.choice((0, 1, 2**32 - 1)),
            dropped_events_count=rng.choice((0, 2**32 - 1)),
        )
        made.status.message = rng.choice(_TEXTS)
        for _ in range(rng.randrange(3)):
            made.events.add(time_unix_nano=rng.choice(_TIMES), name=rng.choice(_TEXTS))
            made.links.add(trace_id=_id(rng, 16), span_id=_id(rng, 8), trace_state=rng.choice(_TEXTS))
        spans.append(made)
    return "/v1/traces", traces(*spans, origin=_origin(rng))


def _logs(rng: random.Random) -> tuple[str, Any]:
    records = []
    for _ in range(rng.randrange(4)):
        body = _value(rng)
        if rng.random() < 0.4:
            fields = {name: rng.choice((_value(rng), 5, 0.5, {"a": "b"})) for name in _FIELDS}
            line = {"logger": "gatewayz.request", **{key: value for key, value in fields.items() if _is_json(value)}}
            body = (
                mutate(rng, json.dumps(line).encode()).decode(errors="replace")
                if rng.random() < 0.3
                else json.dumps(line)
            )
        made = log_record(
            body,
            _attributes(rng),
            time_unix_nano=rng.choice(_TIMES),
            observed_time_unix_nano=rng.choice(_TIMES),
            trace_id=_id(rng, 16),
            span_id=_id(rng, 8),
            event_name=rng.choice(_TEXTS),
            severity_text=rng.choice(_TEXTS),
            severity_number=rng.choice((0, 9, 24, 99, -1, 2**31 - 1)),
        )
        records.append(made)
    return "/v1/logs", logs(*records, origin=_origin(rng))


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return False
    return True


def _metrics(rng: random.Random) -> tuple[str, Any]:
    made = []
    for _ in range(rng.randrange(4)):
        metric = Metric(name=rng.choice(_TEXTS), unit=rng.choice(_TEXTS), description=rng.choice(_TEXTS))
        kind = rng.choice(("gauge", "sum", "histogram", "exponential_histogram", "summary"))
        data = getattr(metric, kind)
        data.SetInParent()
        if hasattr(data, "aggregation_temporality"):
            data.aggregation_temporality = rng.choice((0, 1, 2, 77, -5))
        for _ in range(rng.randrange(3)):
            _fill(rng, kind, data.data_points.add())
        made.append(metric)
    return "/v1/metrics", metrics(*made, origin=_origin(rng))


def _fill(rng: random.Random, kind: str, point: Any) -> None:
    point.time_unix_nano, point.start_time_unix_nano = rng.choice(_TIMES), rng.choice(_TIMES)
    point.flags = rng.choice((0, 0, 1, 2**32 - 1))
    for key, value in _attributes(rng).items():
        point.attributes.add(key=key).value.CopyFrom(any_value(value))
    if kind in {"gauge", "sum"}:
        if rng.random() < 0.5:
            point.as_double = rng.choice(_FLOATS)
        else:
            point.as_int = rng.choice((0, -(2**63), 2**63 - 1))
    else:
        point.count, point.sum = rng.choice(_COUNTS), rng.choice(_FLOATS)
    if kind == "histogram":
        point.explicit_bounds.extend(rng.choices(_FLOATS, k=rng.randrange(4)))
        point.bucket_counts.extend(rng.choices(_COUNTS, k=rng.randrange(5)))
    if kind == "exponential_histogram":
        point.scale, point.zero_count = rng.choice((0, 20, -11, 2**31 - 1)), rng.choice(_COUNTS)
        point.positive.offset = rng.choice((0, -(2**31), 2**31 - 1))
        point.positive.bucket_counts.extend(rng.choices(_COUNTS, k=rng.randrange(5)))
    if kind == "summary":
        point.quantile_values.add(quantile=rng.choice(_FLOATS), value=rng.choice(_FLOATS))
    if kind != "summary":
        exemplar = point.exemplars.add(time_unix_nano=rng.choice(_TIMES), trace_id=_id(rng, 16), span_id=_id(rng, 8))
        exemplar.as_double = rng.choice(_FLOATS)
