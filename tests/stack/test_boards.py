"""Every query of every panel of the boards, on the real servers under the demo's traffic: it has data, or the table here says why not."""

import asyncio
import io
import json
import math
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from compose.native.servers import Choices
from compose.native.stack import Stack
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
from dashboards.pictures.answers import MACROS, Servers, range_until
from demo.environment import Environment, EnvironmentOptions, start_environment
from demo.traffic.arrivals import read_trace
from demo.traffic.counters import TrafficCounters
from demo.traffic.outcomes import Pace
from demo.traffic.schedule import EVEN_MIX, ScheduleOptions, schedule
from demo.traffic.sender import Traffic
from tests.harness.polling import holds_within
from tests.stack.board_answers import RANGE_SECONDS, with_data
from tests.stack.drawn_boards import Texts, draw_boards, drawing_problems, settled_answers
from tests.stack.otlp_requests import log_request, metric_request
from tests.stack.stores import Stores

SPEED = 6.0
"""Requests must go on for longer than some rules look back."""

SECONDS = 150.0
LOOK_AGAIN_SECONDS = 10.0
DRAIN_SECONDS = 20.0
SETTLE_SECONDS = 60.0
ARRIVAL_SECONDS = 5.0
"""What was pushed so long ago is stored, if the computer is not busy."""

TOLERANCE = 0.05
"""An increase is extrapolated to its window."""

_FROM_THE_FIRST = "the server exports this counter from its first such event on, and none happened"
EMPTY: dict[tuple[str, str], str] = {
    **{
        ("gatewayz-pipeline", f"Collector: refused and failed {letter}"): f"exporters' failures: {_FROM_THE_FIRST}"
        for letter in "DGHI"
    },
    ("gatewayz-pipeline", "Tempo: spans B"): f"discarded spans: {_FROM_THE_FIRST}",
    ("gatewayz-pipeline", "Series overflow and failures to record A"): "no family reached its series limit",
    ("gatewayz-pipeline", "Jobs: failures A"): "no job failed",
    ("gatewayz-pipeline", "Connections of clients B"): "no connection was one too many",
    ("gatewayz-pipeline", "Rules and notifications that fail C"): "no notification failed yet",
    ("gatewayz-models", "Models that a provider no longer lists A"): "each provider lists all its models",
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
    """Send every kind of request at a steady pace until the end of the block, and wait for the responses."""
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
        await asyncio.wait({task}, timeout=DRAIN_SECONDS)
        task.cancel()
        await asyncio.wait({task})


def all_queries() -> dict[tuple[str, str], BoardQuery]:
    """Return the queries of all panels by board and place, for the last minutes."""
    return {
        (uid, query.place): query
        for uid, document in documents().items()
        for query in panel_queries(document, values_of(document))
    }


async def still_empty(stores: Stores, names: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return which of these queries, by board and place, have no data."""
    queries = all_queries()
    found = await with_data(stores, [queries[name] for name in names])
    return [name for name, has_data in zip(names, found, strict=True) if not has_data]


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
        async with start_environment(options, lambda _: None) as ready:
            await lose_something(stack)
            async with traffic(ready, seed) as counters:
                ends, empty = time.monotonic() + SECONDS, list(all_queries())
                while True:
                    await asyncio.sleep(LOOK_AGAIN_SECONDS)  # the pace of looking, not a wait for something
                    await scrape(ready.gateway_url)
                    empty = await still_empty(stores, empty)
                    unexplained = [each for each in empty if each not in EMPTY]
                    if not unexplained or time.monotonic() > ends:
                        break
                    # A Prometheus without a sample takes the first one, however old it is: it refuses the next.
                    await lose_something(stack)
                answered = await answer_links(stores)
                to_draw, texts = await answers_to_draw(stack, stores)
            values = await answer_variables(stores)
            sent = counters.kinds.total()
            compared = await compare_values(stores, ready.database_path)
    panels, count = sum(len(dashboard.panels) for dashboard in DASHBOARDS), len(all_queries())
    say(
        f"{sent} requests; {panels} panels of {len(DASHBOARDS)} boards: {count - len(empty)} of {count} queries have data"
    )
    for board, place in empty:
        say(f"empty: {board}: {place}: {EMPTY.get((board, place), 'no reason is known')}")
    without = [place for place, has_data in answered.items() if not has_data]
    say(f"{len(answered)} queries of links and annotations answered, without data: {', '.join(without) or 'none'}")
    for name, found in sorted(values.items()):
        say(f"variable {name}: {', '.join(found)}")
    for text in compared:
        say(text)
    drawn = await asyncio.to_thread(draw_boards, to_draw)
    say(
        f"{sum(map(len, drawn.values()))} panels drawn"
        if drawn
        else "nothing was drawn: Chromium or npm is not installed"
    )
    problems = drawing_problems(to_draw, drawn, texts)
    for text in problems:
        say(text)
    assert problems == []
    assert unexplained == []
    assert all(values.values())
    assert all_queries().keys() >= EMPTY.keys(), "a reason for a query that no board has"


async def answers_to_draw(stack: Stack, stores: Stores) -> tuple[dict[str, dict[str, Any]], Texts]:
    """Return what the renderer draws of each board, by its uid, and the texts of large values on them."""
    servers = Servers(prometheus=stack.url("prometheus"), loki=stack.url("loki"), tempo=stack.url("tempo"))
    return await settled_answers(
        stores, servers, documents(), range_until(time.time() - ARRIVAL_SECONDS, RANGE_SECONDS)
    )


async def scrape(gateway_url: str) -> None:
    """Scrape the gateway, as Prometheus would if it were told where the gateway is."""
    async with aiohttp.ClientSession() as session, session.get(f"{gateway_url}/metrics") as response:
        assert response.status == 200
        await response.read()


async def lose_something(stack: Stack) -> None:
    """Send what Loki and Prometheus refuse, a line and a sample of long ago: losses have series from the first one on."""
    headers = {"content-type": "application/x-protobuf"}
    async with aiohttp.ClientSession(headers=headers) as session:
        for path, request in (("logs", log_request(["of long ago"])), ("metrics", metric_request([1]))):
            data = io.BytesIO(request.SerializeToString())
            async with session.post(f"{stack.url('otelcol')}/v1/{path}", data=data) as response:
                assert response.status == 200


async def compare_values(stores: Stores, database_path: Path) -> list[str]:
    """Compare what the cost board shows with the ledger, once all of it has arrived; return a line for each value."""
    document = documents()["gatewayz-cost"]
    lines: list[str] = []

    async def all_agree() -> bool:
        shown = {query.place.removesuffix(" A"): query.text for query in panel_queries(document, values_of(document))}
        ledger = read_ledger_sums(database_path)
        found = {title: await stores.number(shown[title]) for title in ledger if title in shown}
        by_plan = shown["USD per hour by plan"].replace("[1m]", f"[{RANGE_SECONDS}s]")
        response = await stores.get("loki", "/loki/api/v1/query", query=by_plan)
        found |= {
            f"Cost of the plan {each['metric']['plan']}": float(each["value"][1]) * RANGE_SECONDS / 3600
            for each in response["data"]["result"]
        }
        lines[:] = [
            f"{title}: {found.get(title, 0.0):.6g} shown, {ledger[title]:.6g} in the ledger" for title in ledger
        ]
        return all(
            math.isclose(found.get(title, 0.0), value, rel_tol=TOLERANCE, abs_tol=1e-6)
            for title, value in ledger.items()
        )

    assert await holds_within(all_agree, SETTLE_SECONDS), "\n".join(lines)
    return lines


def read_ledger_sums(path: Path) -> dict[str, float]:
    """Return what the panels of the cost board should show of the rows of the ledger."""
    connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
    try:
        ((cost, cached, tokens),) = connection.execute(
            "SELECT sum(cost_nanousd), sum(cached_tokens), sum(input_tokens) FROM ledger"
        ).fetchall()
        plans = connection.execute(
            "SELECT plan, sum(cost_nanousd) FROM ledger GROUP BY plan HAVING sum(cost_nanousd) > 0"
        ).fetchall()
    finally:
        connection.close()
    return {
        "Cost of the time range": cost / 10**9,
        "Cached share of the input": 100 * cached / tokens,
        "Unpriced share": 0.0,
        "Budgets: used": 0.0,
        **{f"Cost of the plan {plan}": nano / 10**9 for plan, nano in plans},
    }


async def answer_links(stores: Stores) -> dict[str, bool]:
    """Send the queries of links and annotations, each once; return whether there are data, by where the query is."""
    queries = {
        query.text: query
        for document in documents().values()
        for query in (
            *link_queries(document, values_of(document)),
            *annotation_queries(document, values_of(document)),
        )
    }
    found = await with_data(stores, list(queries.values()))
    return {query.place: has_data for query, has_data in zip(queries.values(), found, strict=True)}


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
