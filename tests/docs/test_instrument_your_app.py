"""The examples of `docs/instrument-your-app.md` run over real sockets: exact counts, templates found, custom telemetry delivered."""

import re
import time

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.harness.otlp_receiver import OtlpReceiver
from tests.harness.served import ROOT, served

EXAMPLES = ROOT / "docs" / "examples"
PAGE = ROOT / "docs" / "instrument-your-app.md"
MAX_LINES = 25
ORDERS = {"fastapi_app": "/orders", "starlette_app": "/shop/orders", "litestar_app": "/orders"}


def samples(text: str, name: str) -> dict[frozenset[tuple[str, str]], float]:
    return {
        frozenset(sample.labels.items()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name
    }


def requests(text: str) -> dict[tuple[str, str, str], float]:
    return {
        (dict(labels)["method"], dict(labels)["path"], dict(labels)["status_code"]): value
        for labels, value in samples(text, "fastapi_requests_total").items()
    }


def scraped(client: httpx.Client, total: int) -> str:
    """Scrape until a collection has all requests: one collection serves the scrapes of a second."""
    deadline = time.monotonic() + 20
    while sum(requests(text := client.get("/metrics").text).values()) < total:
        assert time.monotonic() < deadline, text
    return text


@pytest.mark.live
@pytest.mark.parametrize("name", sorted(ORDERS))
def test_an_example_counts_exactly_and_delivers_its_own_counter_and_span(name: str) -> None:
    orders = ORDERS[name]
    with OtlpReceiver() as receiver:
        environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint}
        with served(EXAMPLES, f"{name}:app", environ) as server:
            with httpx.Client(base_url=server.url, timeout=30) as client:
                for number in range(5):
                    assert client.post(f"{orders}/{number}", params={"method": "card"}).is_success
                for method in ("cash", "bitcoin"):
                    assert client.post(f"{orders}/9", params={"method": method}).is_success
                for number in range(3):
                    assert client.get(f"/no/such/{number}").status_code == 404
                assert client.get(f"{orders}/1").status_code == 405
                text = scraped(client, total=11)
                assert client.get("/prometheus/metrics/summary").json()["system"]["requests_total"] == 11
            assert "Traceback" not in server.stop()
        template = f"{orders}/{{order_id}}"
        status = "201" if name == "litestar_app" else "200"
        assert requests(text) == {
            ("POST", template, status): 7,
            ("GET", "unmatched", "404"): 3,
            ("GET", template, "405"): 1,
        }
        by_method = {("method", "card"): 5, ("method", "cash"): 1, ("method", "other"): 1}
        assert samples(text, "shop_orders_total") == {frozenset({key}): value for key, value in by_method.items()}

        pushed = receiver.metric_points("shop_orders_total")
        assert pushed == {(key,): value for key, value in by_method.items()}
        servers = {span["span_id"]: span["trace_id"] for span in receiver.spans_named(f"POST {template}")}
        charges = receiver.spans_named("charge")
        assert len(servers) == len(charges) == 7
        assert {span["parent_span_id"]: span["trace_id"] for span in charges} == servers
        assert len(receiver.spans) == 18
        assert {span["resource"]["service.name"] for span in receiver.spans} == {"shop"}
        assert len(receiver.log_records) == 11


@pytest.mark.parametrize("name", sorted(ORDERS))
def test_an_example_is_short_and_stands_in_the_page_as_it_runs(name: str) -> None:
    source = (EXAMPLES / f"{name}.py").read_text()
    assert len(source.splitlines()) <= MAX_LINES
    assert source in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
