"""The monitoring endpoints over HTTP: routes, negotiation, HEAD, errors, the token, and the worker thread."""

import asyncio
import threading

import httpx
import pytest
from litestar import Litestar
from litestar._parsers import parse_query_string
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics

from app.http.exposure import Exposure
from app.http.monitoring import monitoring_router
from otel.catalogue import families_of
from otel.catalogue.spec import Category
from otel.exposition.collect_threads import CollectThreads
from otel.exposition.scrape_request import MAX_QUERY_BYTES, MAX_QUERY_FIELDS
from tests.harness.metered import OPENMETRICS, Metered
from tests.harness.polling import DEADLINE_SECONDS, until

TOKEN = "s3cret-token"
PATHS = [
    "/metrics",
    "/prometheus/metrics/all",
    *(f"/prometheus/metrics/{category}" for category in Category),
    "/prometheus/metrics/summary",
    "/prometheus/metrics/docs",
]


@pytest.fixture
def metered() -> Metered:
    metered = Metered()
    metered.instruments.record("cache_hits_total", 3, {"cache": "response"})
    metered.instruments.record("gatewayz_cost_by_provider", 0.25, {"provider": "openai"})
    with metered.span():
        metered.instruments.record("provider_response_time_seconds", 0.3, {"provider": "openai"})
    return metered


def client_of(metered: Metered, token: str | None = None, threads: CollectThreads | None = None) -> httpx.AsyncClient:
    exposure = Exposure(token)
    app = Litestar([monitoring_router(metered.exposition, exposure=exposure, threads=threads)], logging_config=None)
    transport = httpx.ASGITransport(app)
    return httpx.AsyncClient(transport=transport, base_url="http://gateway", headers={"accept-encoding": "identity"})


@pytest.fixture
async def client(metered):
    async with client_of(metered) as client:
        yield client


async def test_everything_is_at_both_paths(client, metered):
    responses = [await client.get(path) for path in ("/metrics", "/prometheus/metrics/all")]
    assert [response.status_code for response in responses] == [200, 200]
    assert [response.text for response in responses] == [metered.text()] * 2
    assert responses[0].headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"


@pytest.mark.parametrize("category", Category)
async def test_each_category_has_its_endpoint(client, metered, category):
    response = await client.get(f"/prometheus/metrics/{category}")
    assert response.status_code == 200
    assert response.text == metered.text(category)
    names = {spec.name for spec in families_of(category)}
    assert {line.split()[2] for line in response.text.splitlines() if line.startswith("# TYPE")} <= names


async def test_names_are_a_repeatable_query(client, metered):
    query = "name[]=cache_hits_total&name[]=provider_response_time_seconds_bucket"
    response = await client.get(f"/metrics?{query}")
    assert response.text == metered.text(names=["cache_hits_total", "provider_response_time_seconds"])
    assert (await client.get("/metrics?name[]=unknown")).text == ""
    assert (await client.get("/metrics", params={"name[]": "cache_hits_total"})).text.startswith(
        "# HELP cache_hits_total"
    )


async def test_negotiation(client):
    response = await client.get("/metrics", headers={"accept": OPENMETRICS})
    assert response.headers["content-type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert response.headers["vary"] == "Accept, Accept-Encoding"
    assert any(sample.exemplar for family in parse_openmetrics(response.text) for sample in family.samples)


async def test_a_header_in_several_lines_is_one_header(client):
    headers = [("accept", "text/plain;q=0.1"), ("accept", OPENMETRICS), ("accept-encoding", "gzip")]
    response = await client.get("/metrics", headers=headers)
    assert response.headers["content-type"].startswith(OPENMETRICS)


async def test_gzip(client):
    response = await client.get("/metrics", headers={"accept-encoding": "gzip"})
    assert response.headers["content-encoding"] == "gzip"
    assert response.text.startswith("# HELP ")
    assert "content-encoding" not in (await client.get("/metrics")).headers


@pytest.mark.parametrize("path", PATHS)
async def test_head_has_the_headers_of_get_and_no_body(client, path):
    metered_get = await client.get(path)
    head = await client.head(path)
    assert head.status_code == metered_get.status_code == 200
    assert head.content == b""
    assert dict(head.headers) == dict(metered_get.headers)
    assert int(head.headers["content-length"]) == len(metered_get.content)


async def test_summary(client):
    response = await client.get("/prometheus/metrics/summary")
    assert response.headers["content-type"] == "application/json"
    assert response.json()["performance"]["cache_hits"] == 3
    assert response.json()["business"]["cost_usd_by_provider"] == {"openai": 0.25}
    assert response.json()["system"]["requests_total"] is None
    only = await client.get("/prometheus/metrics/summary?category=business")
    assert only.json()["business"] == response.json()["business"]
    assert "system" not in only.json()


@pytest.mark.parametrize("category", ["latency", "", "System", "all"])
async def test_summary_of_an_unknown_category_is_400_and_names_the_five(client, category):
    response = await client.get("/prometheus/metrics/summary", params={"category": category})
    assert response.status_code == 400
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["status"] == 400
    assert problem["title"] == "Bad Request"
    assert all(known in problem["detail"] for known in Category)


@pytest.mark.parametrize("path", ["xyz", "System", "summaries", "%22"])
async def test_an_unknown_page_is_404(client, path):
    response = await client.get(f"/prometheus/metrics/{path}")
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["status"] == 404


async def test_docs(client):
    response = await client.get("/prometheus/metrics/docs")
    assert response.headers["content-type"] == "text/markdown; charset=utf-8"
    assert "`gatewayz_provider_health_score`" in response.text


@pytest.mark.parametrize("path", PATHS)
async def test_other_methods_are_refused(client, path):
    assert (await client.post(path)).status_code == 405


GOOD = [f"Bearer {TOKEN}", f"bearer {TOKEN}", f"BEARER  {TOKEN} "]
BAD = [
    None,
    "",
    "Bearer",
    "Bearer ",
    "Bearer wrong",
    f"Bearer {TOKEN}x",
    f"Basic {TOKEN}",
    TOKEN,
    f"Bearer {TOKEN[:-1]}",
    "é",
]


@pytest.mark.parametrize("path", [*PATHS, "/prometheus/metrics/xyz"])
async def test_with_a_token_every_page_asks_for_it(metered, path):
    async with client_of(metered, TOKEN) as client:
        response = await client.get(path)
        assert response.status_code == 401
        assert response.headers["www-authenticate"] == 'Bearer realm="monitoring"'
        assert response.headers["content-type"] == "application/problem+json"
        assert (await client.head(path)).status_code == 401
        assert (await client.get(path, headers={"authorization": f"Bearer {TOKEN}"})).status_code in {200, 404}


@pytest.mark.parametrize(("header", "status"), [*((good, 200) for good in GOOD), *((bad, 401) for bad in BAD)])
async def test_tokens(metered, header, status):
    async with client_of(metered, TOKEN) as client:
        headers = [] if header is None else [("authorization", header.encode())]
        response = await client.get("/metrics", headers=headers)
        assert response.status_code == status
        assert TOKEN not in response.text


async def test_two_authorization_headers_are_refused(metered):
    """Which of them another server in between looked at is not known."""
    good, bad = (("authorization", f"Bearer {secret}") for secret in (TOKEN, "other"))
    async with client_of(metered, TOKEN) as client:
        for headers in ([good, good], [good, bad], [bad, good]):
            assert (await client.get("/metrics", headers=headers)).status_code == 401


@pytest.mark.parametrize("token", ["", "  "])
def test_an_empty_token_is_a_mistake_and_not_an_open_door(metered, token):
    with pytest.raises(ValueError, match="token"):
        monitoring_router(metered.exposition, exposure=Exposure(token))


@pytest.mark.parametrize("path", ["/metrics", "/prometheus/metrics/system", "/prometheus/metrics/summary"])
async def test_collecting_does_not_hold_up_the_event_loop(metered, client, path):
    """A source that blocks until the loop has run would deadlock if the collection ran on the loop."""
    loop, collected_in = asyncio.get_running_loop(), []
    ran_meanwhile = threading.Event()

    def source():
        collected_in.append(threading.get_ident())
        loop.call_soon_threadsafe(ran_meanwhile.set)
        assert ran_meanwhile.wait(DEADLINE_SECONDS)
        return [(1, {"provider": "p"})]

    metered.instruments.observe("provider_availability", source)
    assert (await client.get(path)).status_code == 200
    assert collected_in
    assert threading.get_ident() not in collected_in
    assert ran_meanwhile.is_set()


async def test_a_query_is_bounded_and_not_kept(metered, client):
    """The framework would keep every query string it parsed: none of these may reach its parser."""
    kept = parse_query_string.cache_info().currsize
    for number in range(20):
        assert (await client.get(f"/metrics?name[]=cache_hits_total&n={number}")).status_code == 200
        assert (await client.get(f"/prometheus/metrics/summary?category=business&n={number}")).status_code == 200
    assert parse_query_string.cache_info().currsize == kept
    for query in ("&".join(["a"] * (MAX_QUERY_FIELDS + 1)), "name[]=" + "x" * MAX_QUERY_BYTES):
        for path in ("/metrics", "/prometheus/metrics/system", "/prometheus/metrics/summary"):
            response = await client.get(f"{path}?{query}")
            assert response.status_code == 400
            assert response.headers["content-type"] == "application/problem+json"
            assert len(response.content) < 500


@pytest.mark.parametrize(
    "path", ["/prometheus/metrics/" + "x" * 5000, "/prometheus/metrics/summary?category=" + "x" * 5000]
)
async def test_an_error_does_not_repeat_all_that_a_client_sent(client, path):
    assert len((await client.get(path)).content) < 500


async def test_scrapes_that_cannot_wait_are_503(metered):
    """One thread that is busy and one place to wait in: a third scrape is told to come back."""
    begun, go = threading.Event(), threading.Event()

    def source():
        begun.set()
        assert go.wait(DEADLINE_SECONDS)
        return [(1, {"provider": "p"})]

    metered.instruments.observe("provider_availability", source)
    threads = CollectThreads(max_running=1, max_waiting=1)
    async with client_of(metered, threads=threads) as client:
        scrapes = [asyncio.create_task(client.get("/metrics")) for _ in range(2)]
        await until(lambda: begun.is_set() and threads._waiting == 1)
        refused = await client.get("/metrics")
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert refused.headers["content-type"] == "application/problem+json"
        go.set()
        assert [response.status_code for response in await asyncio.gather(*scrapes)] == [200, 200]
        assert (await client.get("/metrics")).status_code == 200
