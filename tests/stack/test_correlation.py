"""From one request of known id to everything else that is known of it: line, trace, exemplar, provider metrics, service graph."""

import base64
import json
import random
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from compose.native.servers import ROOT
from tests.harness.polling import holds_within
from tests.stack.known_requests import FAILING, FAST, MODEL, Known, Scene, scene

SECONDS = 45.0
"""Tempo's generator sends every 5 s, and closes an edge of the service graph after 5 s."""

DATA_SOURCES = ROOT / "dashboards" / "grafana" / "provisioning" / "datasources" / "datasources.yml"
ROUTE = "POST /v1/chat/completions"


@pytest.fixture(scope="module")
async def played(binaries: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    # This seed draws a trace id that begins with a zero: where ids are shortened or padded, it shows.
    async with scene(binaries, tmp_path_factory.mktemp("correlation"), random.Random(4711), {}) as playing:
        for known in playing.requests.values():

            async def is_there(trace_id: str = known.trace_id) -> bool:
                return await playing.stores.has_trace(trace_id) and await playing.stores.has_log(trace_id)

            assert await holds_within(is_there, SECONDS), known
        yield playing


@pytest.fixture(scope="module")
def known(played: Scene) -> Known:
    """The request that failed over: two attempts, two providers."""
    return played.requests["failed over to openrouter"]


def data_source(name: str) -> dict[str, Any]:
    """Return a provisioned data source, with `$$` as Grafana reads it."""
    sources = yaml.safe_load(DATA_SOURCES.read_text())["datasources"]
    found = next(each for each in sources if each["name"] == name)
    unescaped: dict[str, Any] = json.loads(json.dumps(found).replace("$$", "$"))
    return unescaped


async def trace_spans(played: Scene, trace_id: str) -> list[dict[str, Any]]:
    """Return the spans of a trace in Tempo, their attributes as a dictionary."""
    response = await played.stores.get("tempo", f"/api/v2/traces/{trace_id}")
    spans = [
        span for group in response["trace"]["resourceSpans"] for scope in group["scopeSpans"] for span in scope["spans"]
    ]
    return [span | {"attributes": {pair["key"]: pair["value"] for pair in span["attributes"]}} for span in spans]


async def lines_of(played: Scene, query: str) -> list[tuple[dict[str, str], dict[str, Any]]]:
    response = await played.stores.get(
        "loki",
        "/loki/api/v1/query_range",
        query=query,
        start=played.stores.start_seconds * 1_000_000_000,
        end=(int(time.time()) + 5) * 1_000_000_000,
        limit=100,
    )
    return [(each["stream"], json.loads(line)) for each in response["data"]["result"] for _, line in each["values"]]


def text(span: dict[str, Any], key: str) -> str:
    value: str = span["attributes"][key]["stringValue"]
    return value


async def test_a_log_line_leads_to_its_trace(played: Scene, known: Known) -> None:
    field = data_source("Loki")["jsonData"]["derivedFields"][0]
    assert (field["matcherType"], field["datasourceUid"]) == ("label", data_source("Tempo")["uid"])
    lines = await lines_of(played, f'{{job="gatewayz"}} | json | model="{MODEL}" | attempts="2" | status="200"')
    linked = [labels for labels, _ in lines if labels["trace_id"] == known.trace_id]
    assert len(linked) == 1
    label = next(name for name in linked[0] if re.fullmatch(field["matcherRegex"], name))
    spans = await trace_spans(played, linked[0][label])
    assert sorted(span["name"] for span in spans) == [ROUTE, f"chat {MODEL}", f"chat {MODEL}"]
    server = next(span for span in spans if span["name"] == ROUTE)
    assert linked[0]["span_id"] == _hex(server["spanId"])


async def test_a_trace_leads_to_its_lines(played: Scene, known: Known) -> None:
    link = data_source("Tempo")["jsonData"]["tracesToLogsV2"]
    assert link["datasourceUid"] == data_source("Loki")["uid"]
    assert "${__trace.traceId}" in link["query"]
    query = link["query"].replace("${__trace.traceId}", known.trace_id)
    lines = await lines_of(played, query)
    by_logger = {line["logger"]: line for _, line in lines}
    assert len(lines) == len(by_logger) == 2
    assert by_logger["gatewayz.request"]["provider"] == FAST
    assert by_logger["gatewayz.request"]["attempts"] == 2
    assert by_logger["gatewayz.attempt"]["provider"] == FAILING


async def test_an_exemplar_of_a_histogram_leads_to_the_trace(played: Scene, known: Known) -> None:
    destination = data_source("Prometheus")["jsonData"]["exemplarTraceIdDestinations"][0]
    assert destination["datasourceUid"] == data_source("Tempo")["uid"]

    async def exemplars(query: str) -> list[dict[str, Any]]:
        response = await played.stores.get(
            "prometheus",
            "/api/v1/query_exemplars",
            query=query,
            start=played.stores.start_seconds,
            end=int(time.time()) + 5,
        )
        return [
            exemplar["labels"] | {"value": float(exemplar["value"])}
            for series in response["data"]
            for exemplar in series["exemplars"]
        ]

    async def is_there() -> bool:
        found = await exemplars(f'model_inference_duration_seconds_bucket{{provider="{FAST}", model="{MODEL}"}}')
        return bool(found)

    assert await holds_within(is_there, SECONDS)
    found = await exemplars(f'model_inference_duration_seconds_bucket{{provider="{FAST}", model="{MODEL}"}}')
    # The only request that this provider served.
    assert {each[destination["name"]] for each in found} == {known.trace_id}
    spans = {_hex(span["spanId"]): span for span in await trace_spans(played, known.trace_id)}
    assert {text(spans[each["span_id"]], "peer.service") for each in found} == {FAST}
    ids = {each["trace_id"] for each in await exemplars("fastapi_requests_duration_seconds_bucket")}
    assert ids
    assert ids <= {each.trace_id for each in played.requests.values()}


async def test_the_span_of_an_attempt_leads_to_the_metrics_of_its_provider(played: Scene, known: Known) -> None:
    link = data_source("Tempo")["jsonData"]["tracesToMetrics"]
    assert link["datasourceUid"] == data_source("Prometheus")["uid"]
    spans = await trace_spans(played, known.trace_id)
    attempts = sorted(
        (span for span in spans if span["name"] != ROUTE), key=lambda span: int(span["startTimeUnixNano"])
    )
    assert [text(span, "peer.service") for span in attempts] == [FAILING, FAST] == list(known.providers)
    assert link["tags"] == [{"key": "peer.service", "value": "provider"}]
    query = next(each["query"] for each in link["queries"] if "response_time" in each["query"])

    for span in attempts:
        tags = f'provider="{text(span, "peer.service")}"'
        assert "$__tags" in query

        async def responses(tags: str = tags) -> bool:
            result = await played.stores.prometheus(f"provider_response_time_seconds_count{{{tags}}}")
            return bool(result) and float(result[0]["value"][1]) >= 1

        assert await holds_within(responses, SECONDS), tags
        # `rate` needs two samples; the panel's query parses and selects by the tag.
        result = await played.stores.prometheus(query.replace("$__tags", tags))
        assert {each["metric"]["provider"] for each in result} <= {text(span, "peer.service")}


async def test_the_service_graph_has_an_edge_to_each_provider(played: Scene) -> None:
    calls = [provider for each in played.requests.values() for provider in each.providers]

    async def edges() -> dict[str, float]:
        result = await played.stores.prometheus('traces_service_graph_request_total{client="gatewayz"}')
        return {each["metric"]["server"]: float(each["value"][1]) for each in result}

    async def are_there() -> bool:
        return await edges() == {provider: calls.count(provider) for provider in set(calls)}

    assert await holds_within(are_there, SECONDS), await edges()
    failed = await played.stores.prometheus('traces_service_graph_request_failed_total{client="gatewayz"}')
    assert {each["metric"]["server"]: float(each["value"][1]) for each in failed}[FAST] == 1
    assert data_source("Tempo")["jsonData"]["serviceMap"] == {"datasourceUid": data_source("Prometheus")["uid"]}


async def test_span_metrics_have_exemplars_under_the_same_name(played: Scene) -> None:
    async def latest() -> set[str]:
        response = await played.stores.get(
            "prometheus",
            "/api/v1/query_exemplars",
            query=f'traces_spanmetrics_latency_bucket{{service="gatewayz", span_name="{ROUTE}"}}',
            start=played.stores.start_seconds,
            end=int(time.time()) + 5,
        )
        return {each["labels"]["trace_id"] for series in response["data"] for each in series["exemplars"]}

    async def are_there() -> bool:
        return bool(await latest())

    assert await holds_within(are_there, SECONDS)
    found = await latest()
    # Tempo leaves out leading zeros here, and takes such an id all the same.
    assert {trace_id.zfill(32) for trace_id in found} <= {each.trace_id for each in played.requests.values()}
    for trace_id in found:
        assert await played.stores.has_trace(trace_id)
    counted = await played.stores.number(
        f'sum(traces_spanmetrics_calls_total{{service="gatewayz", span_name="{ROUTE}"}})'
    )
    assert counted == len(played.requests)


def _hex(identifier: str) -> str:
    """Tempo's JSON writes ids as base64."""
    return base64.b64decode(identifier).hex()
