"""Every route responds, on an empty store too; parameters that cannot be read are named."""

from typing import get_args

import pytest

from console.http.json_routes import ROUTES
from console.query.annotations import KINDS
from console.query.facets import NAMES
from console.query.request_filter import WORDS_OF
from console.query.shapes.cost import Period
from console.query.shapes.metrics import Function, MetricType
from console.query.shapes.now import FailureOrder
from console.query.traces import STATUSES
from otel.catalogue import semconv
from otel.events.events import CallStatus
from otel.logs.request_line import Outcome
from tests.harness.console import log_record, logs, metrics, span, traces
from tests.harness.console_metrics import counter, gauge, histogram

QUERIES = {"/api/metrics/range": {"name": "c"}}


@pytest.mark.parametrize("path", [path for path in ROUTES if path != "/api/metrics/range"])
async def test_an_empty_store_has_an_empty_response(site, path):
    found = await site.json(path)
    assert isinstance(found, dict)


@pytest.mark.parametrize("path", ROUTES)
async def test_a_filled_store_has_a_response(site, path):
    await site.console.send(traces(span(), span(kind=3, parent_span_id=b"12345678")))
    await site.console.send(logs(log_record()))
    await site.console.send(
        metrics(
            counter("c", (-20, 1, {}), (-10, 2, {})), gauge("g", (-10, 2.5, {})), histogram("h", (-10, [1, 2, 3], {}))
        )
    )
    assert await site.json(path, QUERIES.get(path))


@pytest.mark.parametrize("path", [path for path in ROUTES if path != "/api/metrics/range"])
async def test_an_unknown_parameter_is_named(site, path):
    response = await site.get(path, {"colour": "red"})
    assert response.status_code == 400
    assert "'colour'" in response.json()["detail"]


@pytest.mark.parametrize(
    ("path", "params", "word"),
    [
        ("/api/requests", {"limit": "0"}, "limit"),
        ("/api/requests", {"limit": "501"}, "limit"),
        ("/api/requests", {"limit": "1.5"}, "limit"),
        ("/api/requests", {"cursor": "x"}, "cursor"),
        ("/api/requests", {"cursor": "99999999999999999999-1"}, "cursor"),
        ("/api/requests", {"cursor": "1-²"}, "cursor"),
        ("/api/requests", {"from": "2", "to": "1"}, "from"),
        ("/api/requests", {"from": "nan"}, "from"),
        ("/api/requests", {"from": "1e300"}, "from"),
        ("/api/requests", {"range": "60", "from": "1"}, "range"),
        ("/api/requests", {"stream": "maybe"}, "stream"),
        ("/api/requests", {"status": "9xx"}, "status"),
        ("/api/requests", {"trace_id": "xyz"}, "trace id"),
        ("/api/requests", {"latency_min": "fast"}, "latency_min"),
        ("/api/requests", {"q": ["a", "b"]}, "q"),
        ("/api/logs", {"severity": "LOUD"}, "severity"),
        ("/api/traces", {"status": "bad"}, "status"),
        ("/api/facets", {"field": "secret"}, "field"),
        ("/api/annotations", {"kind": "party"}, "kind"),
        ("/api/cost", {"period": "year"}, "period"),
        ("/api/metrics/range", {}, "name"),
        ("/api/metrics/range", {"name": "c", "fn": "magic"}, "fn"),
        ("/api/metrics/range", {"name": "c", "q": "2"}, "q"),
        ("/api/metrics/range", {"name": "c", "match": "nothing"}, "match"),
        ("/api/metrics/range", {"name": "c", "step": "0"}, "step"),
        ("/api/metrics/range", {"name": "c", "from": "4000000000", "to": "4000000100"}, "future"),
        ("/api/tail", {"kind": "all"}, "kind"),
        ("/api/tail", {"status": "9xx"}, "status"),
        ("/api/requests.csv", {"limit": "1"}, "limit"),
    ],
)
async def test_a_parameter_that_cannot_be_read_is_named(site, path, params, word):
    response = await site.get(path, params)
    assert response.status_code == 400, response.text
    assert word in response.json()["detail"]


CHOICES = [
    *(
        (path, name, words)
        for path in ("/api/requests", "/api/requests.csv", "/api/tail")
        for name, words in WORDS_OF.items()
    ),
    ("/api/requests", "stream", ("true", "false")),
    ("/api/traces", "status", STATUSES),
    ("/api/failures", "sort", get_args(FailureOrder)),
    ("/api/cost", "period", get_args(Period)),
    ("/api/cost.csv", "period", get_args(Period)),
    ("/api/annotations", "kind", KINDS),
    ("/api/facets", "field", NAMES),
    ("/api/logs", "severity", ("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL")),
    ("/api/metrics/range", "fn", get_args(Function)),
    ("/api/metrics/range", "type", get_args(MetricType)),
    ("/api/tail", "kind", ("requests", "logs")),
]


@pytest.mark.parametrize(("path", "name", "words"), CHOICES, ids=[f"{path}?{name}" for path, name, _ in CHOICES])
async def test_a_value_that_a_parameter_does_not_take_is_a_400_with_those_that_it_takes(site, path, name, words):
    response = await site.get(path, QUERIES.get(path, {}) | {name: "failed"})
    assert response.status_code == 400, response.text
    detail = response.json()["detail"]
    assert detail.startswith(name)
    assert [word for word in words if word not in detail] == []


@pytest.mark.parametrize(("name", "words"), WORDS_OF.items())
async def test_every_word_of_a_field_is_taken_repeated_too(site, name, words):
    assert (await site.json("/api/requests", {name: list(words)}))["rows"] == []


def test_the_outcomes_are_those_that_the_gateway_writes():
    assert get_args(Outcome) == semconv.REQUEST_OUTCOMES
    assert get_args(CallStatus) == semconv.CALL_STATUSES


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/none", 404),
        ("/api/", 404),
        ("/api/traces/" + "0" * 32, 404),
        ("/api/traces/short", 400),
        ("/api/traces/" + "0" * 32 + "/x", 400),
        ("/api/metrics/range?name=none", 404),
        ("/api/metrics/range?name=%FF", 400),
        ("/api/requests?" + "&".join(f"model={index}" for index in range(101)), 400),
        ("/api/requests?q=" + "x" * 9_000, 400),
    ],
)
async def test_what_is_not_there_or_too_much_is_a_problem(site, path, status):
    response = await site.get(path)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["status"] == status


async def test_a_head_has_the_headers_of_the_get(site):
    async with site.client() as client:
        response = await client.head("/api/meta")
    assert response.status_code == 200
    assert response.content == b""
    assert int(response.headers["content-length"]) > 0


async def test_nothing_of_the_api_is_stored_by_a_browser(site):
    assert (await site.get("/api/meta")).headers["cache-control"] == "no-store"
