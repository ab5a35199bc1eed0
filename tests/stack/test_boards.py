"""Every query of every panel of the boards, on the real servers under the demo's traffic: it has data, or the table here says why not."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from compose.native.servers import Choices
from dashboards.generate import JSON_FOLDER
from dashboards.grafana.board_queries import (
    BoardQuery,
    annotation_queries,
    link_queries,
    panel_queries,
    variable_queries,
)
from dashboards.grafana.definitions import DASHBOARDS
from dashboards.grafana.expansion import default_values, time_values
from demo.environment import Environment, EnvironmentOptions, start_environment
from demo.traffic.arrivals import read_trace
from demo.traffic.counters import TrafficCounters
from demo.traffic.outcomes import Pace
from demo.traffic.schedule import EVEN_MIX, ScheduleOptions, schedule
from demo.traffic.sender import Traffic
from tests.stack.board_answers import MACROS, RANGE_SECONDS, with_data
from tests.stack.stores import Stores

SPEED = 6.0
"""Requests must go on for longer than some rules look back."""

SECONDS = 150.0
LOOK_AGAIN_SECONDS = 10.0

_FROM_THE_FIRST = "the server exports this counter from its first such event on, and none happened"
EMPTY: dict[tuple[str, str], str] = {
    **{
        ("gatewayz-pipeline", f"Collector: refused and failed {letter}"): f"exporters' failures: {_FROM_THE_FIRST}"
        for letter in "DEFGHI"
    },
    ("gatewayz-pipeline", "Loki: lines B"): f"discarded lines: {_FROM_THE_FIRST}",
    ("gatewayz-pipeline", "Tempo: spans B"): f"discarded spans: {_FROM_THE_FIRST}",
    ("gatewayz-pipeline", "Series overflow and failures to record A"): "no family reached its series limit",
    ("gatewayz-pipeline", "Rules and notifications that fail C"): "no notification failed yet",
    ("gatewayz-providers", "Waits for a connection, p95 A"): "no attempt had to wait for a pooled connection",
}
"""Queries that may have no data, by board and place, with the reason."""

Documents = dict[str, dict[str, Any]]


def documents() -> Documents:
    """Return the boards by uid."""
    found = (json.loads(path.read_text()) for path in sorted(JSON_FOLDER.rglob("*.json")))
    return {document["uid"]: document for document in found}


def values_of(document: dict[str, Any]) -> dict[str, str]:
    """Return what Grafana puts in place of variables, for the last minutes."""
    now_ms = int(time.time() * 1000)
    return default_values(document) | MACROS | time_values(now_ms - RANGE_SECONDS * 1000, now_ms)


@asynccontextmanager
async def traffic(ready: Environment, seed: int) -> AsyncIterator[TrafficCounters]:
    """Send every kind of request at a steady pace until the end of the block."""
    plan = schedule(
        read_trace(), ScheduleOptions(seed=seed, run=f"boards{seed}", speed=SPEED, mix=EVEN_MIX, pace=Pace(scale=0.1))
    )
    counters = TrafficCounters(ready.models)
    sending = Traffic(
        gateway_url=ready.gateway_url,
        upstream_url=ready.upstream_url,
        keys=ready.keys,
        counters=counters,
        monotonic=time.monotonic,
        max_in_flight=16,
    )
    stop = asyncio.Event()
    task = asyncio.create_task(sending.run(plan, stop))
    try:
        yield counters
    finally:
        stop.set()
        task.cancel()
        await asyncio.wait({task})


async def empty_panels(stores: Stores) -> tuple[int, list[tuple[str, str]]]:
    """Return how many queries panels have, and which have no data, by board and place."""
    queries: list[tuple[str, BoardQuery]] = [
        (uid, query) for uid, document in documents().items() for query in panel_queries(document, values_of(document))
    ]
    found = await with_data(stores, [query for _, query in queries])
    empty = [(uid, query.place) for (uid, query), has_data in zip(queries, found, strict=True) if not has_data]
    return len(queries), empty


async def test_every_panel_has_data_or_is_named_with_the_reason(
    stack_with: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int, say: Callable[[str], None]
) -> None:
    options = EnvironmentOptions(
        folder=tmp_path, script="steady", with_real_model=False, share_seconds=0.0, with_breakers=True, cadence=0.5
    )
    # Nothing listens on port 9, so that one alert is pending soon.
    async with stack_with(Choices(gateway_address="127.0.0.1:9")) as stack, Stores(stack) as stores:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", stack.url("otelcol"))
        monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "5000")
        async with start_environment(options, lambda _: None) as ready, traffic(ready, seed) as counters:
            ends = time.monotonic() + SECONDS
            while True:
                await asyncio.sleep(LOOK_AGAIN_SECONDS)  # the pace of looking, not a wait for something
                count, empty = await empty_panels(stores)
                unexplained = [each for each in empty if each not in EMPTY]
                if not unexplained or time.monotonic() > ends:
                    break
            answered = await answer_links(stores)
            values = await answer_variables(stores)
            sent = counters.kinds.total()
    panels = sum(len(dashboard.panels) for dashboard in DASHBOARDS)
    say(
        f"{sent} requests; {panels} panels of {len(DASHBOARDS)} boards: {count - len(empty)} of {count} queries have data"
    )
    for board, place in empty:
        say(f"empty: {board}: {place}: {EMPTY.get((board, place), 'no reason is known')}")
    say(f"{answered[0]} queries of links and annotations answered, {answered[1]} with data")
    for name, found in sorted(values.items()):
        say(f"variable {name}: {', '.join(found)}")
    assert unexplained == []
    assert all(values.values())
    places = {(uid, query.place) for uid, each in documents().items() for query in panel_queries(each, values_of(each))}
    assert places >= EMPTY.keys(), "a reason for a query that no board has"


async def answer_links(stores: Stores) -> tuple[int, int]:
    """Send the queries of links and annotations; return how many there are, and how many have data."""
    queries = {
        query.text: query
        for document in documents().values()
        for query in (
            *link_queries(document, values_of(document)),
            *annotation_queries(document, values_of(document)),
        )
    }
    found = await with_data(stores, list(queries.values()))
    return len(found), sum(found)


async def answer_variables(stores: Stores) -> dict[str, list[str]]:
    """Return the values that each variable offers."""
    values: dict[str, list[str]] = {}
    for document in documents().values():
        for variable in variable_queries(document):
            response = await stores.get(
                "prometheus", f"/api/v1/label/{variable.label}/values", **{"match[]": variable.family}
            )
            values[variable.name] = response["data"]
    return values
