"""The equalities that hold after clients misbehaved: metrics, log lines, ledger, spans and what was pushed tell of the same requests."""

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from demo.traffic.counters import MONEY, Series
from tests.fuzz.client_actors import Observations
from tests.harness.otlp_data import HistogramPoint
from tests.harness.otlp_receiver import OtlpReceiver
from tests.reconcile.compare import COMPARED

NONE_OF: Final = (
    "fastapi_requests_in_progress", "gatewayz_telemetry_record_failures_total", "gatewayz_telemetry_dropped_total",
    "gatewayz_telemetry_overflow_total", "gatewayz_ledger_rows_dropped_total", "gatewayz_telemetry_log_lines_dropped_total",
)  # fmt: skip
_NANO: Final = 1_000_000_000
_MOST_SHOWN: Final = 5
_CALL_FIELDS: Final = ("model", "provider", "call_status", "attempts", "input_tokens", "output_tokens")


def request_lines(lines: Iterable[str]) -> list[dict[str, Any]]:
    """Return the request log lines among lines of output."""
    decoded = [json.loads(line) for line in lines if line.startswith("{")]
    return [line for line in decoded if line["logger"] == "gatewayz.request"]


def rows(database_path: Path) -> list[tuple[Any, ...]]:
    """Return the ledger's calls: trace id, model, provider, status, attempts, tokens, cost, credits."""
    connection = sqlite3.connect(f"{database_path.as_uri()}?mode=ro", uri=True)
    try:
        return connection.execute(
            "SELECT trace_id, model, provider, status, attempts, input_tokens, output_tokens, cost_nanousd, credits_nanousd"
            " FROM ledger"
        ).fetchall()
    finally:
        connection.close()


def served_differences(
    samples: Mapping[Series, float], lines: list[dict[str, Any]], calls: list[tuple[Any, ...]], seen: Observations
) -> Iterator[str]:
    """Compare what the gateway counted, logged and booked while it runs, and what its clients saw."""
    counted = Counter(
        {
            (labels["method"], labels["path"], int(labels["status_code"])): int(value)
            for labels, value in _family(samples, "fastapi_requests_total")
        }
    )
    yield from _compare("requests", counted, Counter((line["method"], line["path"], line["status"]) for line in lines))
    for name in ("fastapi_responses_total", "fastapi_requests_duration_seconds_count"):
        yield from _equal(name, _sum(samples, name), len(lines))
    for name in NONE_OF:
        yield from _equal(name, _sum(samples, name), 0)
    if len(lines) > seen.requests:
        yield f"{len(lines)} requests were served, at most {seen.requests} were sent"
    logged = Counter(line["trace_id"] for line in lines)
    yield from _compare("trace ids of responses", Counter(seen.trace_ids) - logged, Counter())
    yield from _compare(
        "calls",
        Counter(
            (line["trace_id"], *(line.get(field) for field in _CALL_FIELDS), round(line["cost_usd"] * _NANO))
            for line in lines
            if "call_status" in line
        ),
        Counter(call[:-1] for call in calls),
    )
    for name, amount in (
        ("gatewayz_attempts_per_request_count", len(calls)),
        ("gatewayz_attempts_per_request_sum", sum(call[4] for call in calls)),
        ("tokens_used_total", sum(call[5] + call[6] for call in calls)),
        ("gatewayz_cost_by_provider", sum(call[7] for call in calls)),
        ("credits_used_total", sum(call[8] for call in calls)),
    ):
        yield from _equal(name, _sum(samples, name), amount)


def pushed_differences(
    samples: Mapping[Series, float], lines: list[dict[str, Any]], calls: list[tuple[Any, ...]], receiver: OtlpReceiver
) -> Iterator[str]:
    """Compare what the receiver has after the gateway's end."""
    records = [
        line | {"trace_id": record["trace_id"]}
        for record in receiver.log_records
        for line in request_lines([record["body"]])
    ]
    yield from _compare("log records", Counter(map(_key, records)), Counter(map(_key, lines)))
    spans = receiver.spans
    yield from _compare(
        "server spans",
        Counter(span["trace_id"] for span in spans if span["kind"] == "SERVER"),
        Counter(line["trace_id"] for line in lines),
    )
    attempts = sum(span["kind"] == "CLIENT" for span in spans)
    yield from _equal("attempt spans", attempts, sum(call[4] for call in calls))
    pushed = {
        (name + suffix, labels): value
        for name, metric in receiver.metrics.items()
        for labels, point in metric.points.items()
        for suffix, value in (
            (("_count", float(point.count)), ("_sum", point.sum))
            if isinstance(point, HistogramPoint)
            else (("", point),)
        )
    }
    for name in COMPARED:
        yield from _compare(
            f"pushed {name}",
            Counter({labels: _whole(name, value) for (each, labels), value in pushed.items() if each == name}),
            Counter({labels: _whole(name, value) for (each, labels), value in samples.items() if each == name}),
        )


def _key(line: Mapping[str, Any]) -> tuple[Any, ...]:
    return line["trace_id"], line["method"], line["path"], line["status"], line["outcome"]


def _family(samples: Mapping[Series, float], name: str) -> Iterator[tuple[dict[str, str], float]]:
    return ((dict(labels), value) for (each, labels), value in samples.items() if each == name)


def _sum(samples: Mapping[Series, float], name: str) -> int:
    return sum(_whole(name, value) for _, value in _family(samples, name))


def _whole(name: str, value: float) -> int:
    """Return a sample as an integer, money in nano-US-dollars."""
    return round(value * _NANO) if name in MONEY else round(value)


def _equal(what: str, found: int, expected: int) -> Iterator[str]:
    if found != expected:
        yield f"{what}: {found} instead of {expected}"


def _compare(what: str, found: Counter[Any], expected: Counter[Any]) -> Iterator[str]:
    """Compare item by item: zero is the same as absent."""
    for key in [key for key in {*found, *expected} if found[key] != expected[key]][:_MOST_SHOWN]:
        yield f"{what}: {key}: {found[key]} instead of {expected[key]}"
