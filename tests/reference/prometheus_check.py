"""Asks the real Prometheus every PromQL query of the reference, as written and corrected, and compares each result."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import aiohttp
import promql_parser

from otel.catalogue import CATALOGUE
from otel.catalogue.spec import Kind
from tests.reference.entries import PromQuery, Reference
from tests.reference.expected import ALERTS, Compute, expected_of
from tests.reference.findings import Finding, Form
from tests.reference.gauges import PROVIDERS
from tests.reference.played import Played
from tests.reference.quantities import Expected, problems
from tests.reference.truth import WINDOWS, Samples, Truth
from tests.stack.prometheus_servers import PATH_LABELS, Prometheus

_WINDOW: Final = re.compile(r"\[(\w+)\]")
_MOST_SECONDS: Final = 300
"""The shortest of the windows: the measured part must be in it as a whole."""

_SHOWN: Final = 3


async def read_samples(server: Prometheus, played: Played) -> Samples:
    """Return every sample that the gateway's counters have in Prometheus from the quiet moment on; raises ValueError where that is too long."""
    found: dict[tuple[str, tuple[tuple[str, str], ...]], list[tuple[int, float]]] = {}
    for name in _families():
        query = f'{name}{{job="gatewayz"}}[5m]'
        data = await server.get("query", query=query, time=_text(played.quiet_ms + 1_000 * _MOST_SECONDS))
        for each in data["result"]:
            key = name, _labels(each["metric"])
            found[key] = [(round(1_000 * stamp), float(value)) for stamp, value in each["values"]]
    newest = max(samples[-1][0] for samples in found.values())
    if newest > played.quiet_ms + 1_000 * _MOST_SECONDS:
        raise ValueError("the measured part took longer than five minutes")
    return found


async def check_queries(server: Prometheus, reference: Reference, truth: Truth) -> list[Finding]:
    """Check the 55 queries in both forms."""
    forms: tuple[Form, ...] = ("as written", "corrected")
    asked = [(entry, form) for entry in reference.prom_queries for form in forms]
    return [await _check_query(server, entry, form, truth) for entry, form in asked]


async def check_alerts(server: Prometheus, reference: Reference, truth: Truth) -> list[Finding]:
    """Check the expressions of the alerts as written."""
    found = []
    for alert in reference.alerts:
        refusal = await refusal_of(server, alert.query)
        fields: dict[str, Any] = {"part": "alert", "name": alert.name, "form": "as written", "query": alert.query}
        if not refusal:
            fields |= await _compare(server, alert.query, ALERTS[alert.name], truth)
        found.append(Finding(refusal=refusal, **fields))
    return found


async def _check_query(server: Prometheus, entry: PromQuery, form: Form, truth: Truth) -> Finding:
    query = entry.query if form == "as written" else entry.in_use
    fields: dict[str, Any] = {"part": "PromQL", "name": entry.name, "form": form, "query": query}
    refusal = await refusal_of(server, query)
    if refusal:
        # What is not PromQL must be known to be none.
        unknown = () if entry.does_not_parse and form == "as written" else (refusal,)
        return Finding(refusal=refusal, problems=unknown, **fields)
    if entry.does_not_parse and form == "as written":
        return Finding(problems=("it parses, and is said not to",), **fields)
    compute = expected_of(entry.name, corrected=form == "corrected")
    return Finding(**fields, **await _compare(server, query, compute, truth))


async def refusal_of(server: Prometheus, query: str) -> str:
    """Return why a query is no PromQL; empty where the parser and the real server take it. Raises ValueError where these disagree."""
    try:
        promql_parser.parse(query)
        parser = ""
    except ValueError as error:
        parser = str(error).strip().splitlines()[-1]
    try:
        await server.get("query", query=query)
    except aiohttp.ClientResponseError as error:
        if not parser:
            raise ValueError(f"the parser takes what Prometheus refuses with {error.status}: {query}") from None
        return parser
    if parser:
        raise ValueError(f"Prometheus takes what the parser refuses: {query}")
    return ""


async def _compare(server: Prometheus, query: str, compute: Compute, truth: Truth) -> dict[str, Any]:
    windows = [WINDOWS[name] for name in _WINDOW.findall(query)]
    # A window begins at the quiet moment. Without one, what is stored while the gateway runs.
    at_ms = truth.played.quiet_ms + 1_000 * max(windows) if windows else truth.played.ended_ms
    answer = await server.ask(_expanded(query), at_ms / 1_000)
    result = {tuple(pair for pair in labels if pair[0] != "__name__"): value for labels, value in answer.items()}
    expected = compute(truth)
    differences = problems(expected, result)
    return {"value": _shown(expected, result), "problems": tuple(differences)}


def _expanded(query: str) -> str:
    """Return a query as Grafana sends it when every variable is All."""
    return query.replace("$provider", "(" + "|".join(PROVIDERS) + ")")


def _shown(expected: Expected, result: Mapping[tuple[tuple[str, str], ...], float]) -> str:
    if not result:
        return "no series, as expected" if not expected.values else "no series"
    largest = sorted(result.items(), key=lambda each: -each[1] if each[1] == each[1] else 0.0)
    texts = [
        f"{'/'.join(text for key, text in labels if key != 'app_name')} {value:.6g}".strip()
        for labels, value in largest
    ]
    more = f" and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else ""
    return ", ".join(texts[:_SHOWN]) + more


def _text(time_ms: int) -> str:
    return f"{time_ms // 1_000}.{time_ms % 1_000:03}"


def _families() -> Iterator[str]:
    """Yield the names of every counter, and of the buckets and counts of every histogram."""
    for spec in CATALOGUE:
        if spec.name.startswith("process_"):
            continue
        if spec.kind is Kind.HISTOGRAM:
            yield f"{spec.name}_bucket"
        elif spec.kind.prometheus_type == "counter" or spec.name == "gatewayz_circuit_breaker_state":
            yield spec.name


def _labels(metric: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(
        sorted(
            (name, str(float(value)) if name == "le" else value)
            for name, value in metric.items()
            if name not in PATH_LABELS and name != "__name__"
        )
    )
