"""Compares the traffic program's counters with `/metrics`, the ledger and the upstream's counters, line by line.

A series of a compared family that only one side has is a line too: nothing can be counted twice or under a wrong label
without a difference.
"""

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import aiohttp

from demo.counted import counted
from demo.gateway_config import CLOSED_PROVIDER, REAL_PROVIDER
from demo.traffic.counters import KEY_LOOKUPS, MONEY, Series, TrafficCounters, series
from tests.harness.exposition import scrape
from tests.reconcile.breakers import NOTES, compare_attempts, is_certain
from tests.reconcile.findings import Findings, Line
from tests.reconcile.unexpected_clients import Allowance, UnexpectedClients

_NANO: Final = 1_000_000_000
_POLL_SECONDS: Final = 0.25

COMPARED: Final = (
    "fastapi_requests_total",
    "fastapi_responses_total",
    "fastapi_requests_duration_seconds_count",
    "fastapi_exceptions_total",
    "model_inference_requests_total",
    "model_inference_duration_seconds_count",
    "provider_response_time_seconds_count",
    "gatewayz_time_to_first_token_seconds_count",
    "gatewayz_output_tokens_per_second_count",
    "gatewayz_attempts_per_request_count",
    "gatewayz_attempts_per_request_sum",
    "gatewayz_cancelled_calls_total",
    "gatewayz_estimated_usage_total",
    "gatewayz_implausible_usage_total",
    "tokens_used_total",
    "credits_used_total",
    "gatewayz_cost_by_provider",
    "gatewayz_cost_usd_total",
    "gatewayz_exposure_usd_total",
    "gatewayz_reported_cost_difference_usd_total",
    "gatewayz_tokens_detail_total",
    "cache_hits_total",
    "cache_misses_total",
    "rate_limited_requests",
    "gatewayz_attempt_failures_total",
)
COST: Final = "gatewayz_cost_usd_total"
FAILURES: Final = "gatewayz_attempt_failures_total"
ZERO: Final = (
    "fastapi_requests_in_progress",
    "gatewayz_ledger_rows_dropped_total",
    "gatewayz_unpriced_tokens_total",
    "gatewayz_telemetry_overflow_total",
    "gatewayz_telemetry_record_failures_total",
    "gatewayz_telemetry_log_lines_dropped_total",
)
"""Must be 0 or absent at the end."""

_API_KEY_CACHE: Final = (("cache", "api_key"),)


def compare_metrics(
    counters: TrafficCounters,
    samples: Mapping[Series, float],
    unexpected: Allowance | None = None,
    *,
    with_breakers: bool = False,
) -> Iterator[Line]:
    """Compare with `/metrics`; a line for each series that either side has changed. `with_breakers` leaves out what breakers make uncertain."""
    metrics = {key: _as_count(key[0], value) for key, value in samples.items() if key[0] in COMPARED}
    # Whether a key was in the cache depends on the clock; that it was looked up does not.
    lookups = sum(metrics.pop((name, _API_KEY_CACHE), 0) for name in ("cache_hits_total", "cache_misses_total"))
    metrics[series(KEY_LOOKUPS, cache="api_key")] = lookups
    unexpected = unexpected or Allowance()
    for key in sorted(metrics.keys() | counters.counts.keys() | unexpected.least.keys()):
        mine, theirs = counters.counts[key] + unexpected.least[key], metrics.get(key, 0)
        if (mine or theirs) and not (with_breakers and not is_certain(key[0], dict(key[1]))):
            yield Line(_label(key), mine, theirs, unexpected.spare[key])
    errors, failures = (
        sum(round(value) for (each, labels), value in samples.items() if each == name and condition in ((), *labels))
        for name, condition in (("model_inference_requests_total", ("status", "error")), (FAILURES, ()))
    )
    yield Line(f"model_inference_requests_total that are errors = sum of {FAILURES}", errors, failures)
    for name in ZERO:
        yield Line(f"{name} at the end", 0, sum(round(value) for key, value in samples.items() if key[0] == name))


def compare_ledger(
    counters: TrafficCounters,
    rows: Mapping[str, int],
    samples: Mapping[Series, float],
    unexpected: Allowance | None = None,
) -> Iterator[Line]:
    """Compare with the ledger, and the ledger's cost with the metric's."""
    unexpected = unexpected or Allowance()
    for what in sorted(counters.ledger.keys() | rows.keys()):
        yield Line(f"ledger: {what}", counters.ledger[what] + unexpected.ledger[what], rows.get(what, 0))
    for name, what in (
        ("gatewayz_cost_by_provider", "cost"),
        ("gatewayz_cost_usd_total", "cost"),
        ("credits_used_total", "credits"),
        ("gatewayz_exposure_usd_total", "exposure"),
    ):
        metric = sum(_as_count(name, value) for key, value in samples.items() if key[0] == name)
        yield Line(f"ledger {what} = sum of {name} (nano-USD)", rows.get(f"{what} (nano-USD)", 0), metric)
    for token_detail in ("cached", "reasoning"):
        name = "gatewayz_tokens_detail_total"
        metric = _sums(samples, name, "token_detail")[token_detail]
        yield Line(f"ledger {token_detail} tokens = sum of {name}", rows.get(f"{token_detail} tokens", 0), metric)
    for model, metric in sorted(_sums(samples, COST, "model").items()):
        yield Line(
            f"ledger cost of {model} = sum of {COST} (nano-USD)", rows.get(f"cost of {model} (nano-USD)", 0), metric
        )
    by_provider = _sums(samples, "gatewayz_cost_by_provider", "provider")
    for provider, metric in sorted(_sums(samples, COST, "provider").items()):
        yield Line(f"gatewayz_cost_by_provider of {provider} = sum of {COST} (nano-USD)", by_provider[provider], metric)


def compare_upstream(
    counters: TrafficCounters, upstream: Mapping[str, Any], unexpected: Allowance | None = None
) -> Iterator[Line]:
    """Compare the attempts with what the scripted upstream received; each must have carried a trace context.

    The gateway must close the connection of a request that it abandons.
    """
    personas: Mapping[str, Any] = upstream["personas"]
    unexpected = unexpected or Allowance()
    attempts = counters.attempts + unexpected.attempts
    scripted = {name: count for name, count in attempts.items() if name not in {REAL_PROVIDER, CLOSED_PROVIDER}}
    for name in sorted(scripted.keys() | personas.keys()):
        counted = personas.get(name, {"requests": 0, "with_traceparent": 0, "outcomes": {}})
        spare = unexpected.spare_attempts[name]
        yield Line(f"upstream: requests at {name}", scripted.get(name, 0), counted["requests"], spare)
        yield Line(f"upstream: with traceparent at {name}", scripted.get(name, 0), counted["with_traceparent"], spare)
        left = counted["outcomes"].get("client_left", 0)
        yield Line(
            f"upstream: requests abandoned at {name}", counters.abandoned[name], left, unexpected.spare_abandoned[name]
        )
    yield Line("upstream: requests in flight at the end", 0, upstream["in_flight"])


def read_ledger(path: Path) -> dict[str, int]:
    """Sum the ledger in its SQLite file, under the names that `TrafficCounters.ledger` uses."""
    totals: Counter[str] = Counter()
    connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
    try:
        for status, rows in connection.execute("SELECT status, count(*) FROM ledger GROUP BY status"):
            totals[f"rows {status}"] = rows
        names = (
            "rows cached",
            "attempts",
            "input tokens",
            "output tokens",
            "cost (nano-USD)",
            "credits (nano-USD)",
            "reported (nano-USD)",
            "exposure (nano-USD)",
            "cached tokens",
            "reasoning tokens",
        )
        sums = connection.execute(
            "SELECT sum(cached), sum(attempts), sum(input_tokens), sum(output_tokens), sum(cost_nanousd),"
            " sum(credits_nanousd), sum(reported_nanousd), sum(exposure_nanousd), sum(cached_tokens),"
            " sum(reasoning_tokens) FROM ledger"
        ).fetchone()
        for column, word in (("model", "of "), ("provider", "at "), ("cost_source", "")):
            query = f"SELECT {column}, sum(cost_nanousd) FROM ledger GROUP BY 1 HAVING sum(cost_nanousd) != 0"  # noqa: S608  constant names
            for group, cost in connection.execute(query):
                totals[f"cost {word}{group} (nano-USD)"] = cost
    finally:
        connection.close()
    return dict(totals) | {name: amount or 0 for name, amount in zip(names, sums, strict=True)}


async def reconcile(
    counters: TrafficCounters,
    *,
    gateway_url: str,
    upstream_url: str,
    database_path: Path,
    settle_seconds: float = 10.0,
    with_breakers: bool = False,
    unexpected: UnexpectedClients | None = None,
) -> Findings:
    """Compare everything, or what is certain where circuit breakers are on; `unexpected` finds what to allow for.

    The comparison is repeated for up to `settle_seconds`: a last ledger row may be late.
    """
    async with aiohttp.ClientSession() as session:
        deadline = asyncio.get_running_loop().time() + settle_seconds
        while True:
            samples = await scrape(session, gateway_url)
            upstream = await _read_upstream(session, upstream_url)
            rows = await asyncio.to_thread(read_ledger, database_path)
            allowance = Allowance() if unexpected is None else await asyncio.to_thread(unexpected.read, counters)
            findings = compare(counters, rows, samples, upstream, allowance, with_breakers=with_breakers)
            if findings.is_good or asyncio.get_running_loop().time() > deadline:
                return findings
            await asyncio.sleep(_POLL_SECONDS)


def compare(
    counters: TrafficCounters,
    rows: Mapping[str, int],
    samples: Mapping[Series, float],
    upstream: Mapping[str, Any],
    unexpected: Allowance | None = None,
    *,
    with_breakers: bool = False,
) -> Findings:
    """Return the table."""
    unexpected = unexpected or Allowance()
    lines = [
        *compare_metrics(counters, samples, unexpected, with_breakers=with_breakers),
        *compare_ledger(counters, rows, samples, unexpected),
    ]
    notes = notes_on(unexpected)
    if not with_breakers:
        return Findings((*lines, *compare_upstream(counters, upstream, unexpected)), tuple(counters.mismatches), notes)
    lines = [line for line in lines if line.what != "ledger: attempts"]
    lines += compare_attempts(counters, rows, samples, upstream, unexpected)
    return Findings(tuple(lines), tuple(counters.mismatches), (*NOTES, *notes))


def notes_on(unexpected: Allowance) -> tuple[str, ...]:
    """Return a note on the requests of unexpected clients, where there were any."""
    if not unexpected.requests:
        return ()
    requests = f"{counted(unexpected.requests, 'request')} that the traffic program did not send or did not wait for"
    return (
        f"the gateway also served {requests} ({counted(unexpected.calls, 'call')} to a model); the comparison allows for them",
    )


async def _read_upstream(session: aiohttp.ClientSession, upstream_url: str) -> dict[str, Any]:
    async with session.get(f"{upstream_url}/_upstream/counters") as response:
        counters: dict[str, Any] = await response.json()
        return counters


def _sums(samples: Mapping[Series, float], name: str, label: str) -> Counter[str]:
    """Add up the samples of a family for each value of a label."""
    sums: Counter[str] = Counter()
    for (found, labels), value in samples.items():
        if found == name:
            sums[dict(labels)[label]] += _as_count(name, value)
    return sums


def _as_count(name: str, value: float) -> int:
    """Return a sample as an integer, money in nano-US-dollars; raises ValueError for a count that is not whole."""
    if name in MONEY:
        return round(value * _NANO)
    if not value.is_integer():
        raise ValueError(f"{name} counts {value}")
    return int(value)


def _label(key: Series) -> str:
    """Return a sample's name as the table shows it: without the application's name, which is the same everywhere."""
    name, labels = key
    inside = ", ".join(f'{label}="{value}"' for label, value in labels if label != "app_name")
    unit = " (nano-USD)" if name in MONEY else ""
    return f"{name}{{{inside}}}{unit}"
