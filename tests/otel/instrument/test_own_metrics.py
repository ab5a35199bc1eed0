"""An application's own metrics: catalogue entries by declaration, closed label sets, and errors that say what to change."""

import logging

import pytest

from otel import Counter, Gauge, Histogram, MetricError
from tests.harness.telemetered import exposition, get, make_telemetry, samples

ORDERS = Counter("shop_orders_total", labels={"method": ("card", "cash")}, help="Orders taken.", category="business")
ITEMS = Histogram("shop_basket_items", buckets=(1, 5, 10))
CARTS = Gauge("shop_open_carts", labels={"region": ("eu", "us")})


@pytest.fixture
def telemetry():
    telemetry = make_telemetry(metrics=[ORDERS, ITEMS, CARTS])
    yield telemetry
    telemetry.shutdown(1)


async def test_a_counter_exists_at_zero_and_counts_exactly(telemetry) -> None:
    assert await samples(telemetry, "shop_orders_total") == {(("method", "card"),): 0, (("method", "cash"),): 0}
    telemetry.add("shop_orders_total", method="card")
    telemetry.add("shop_orders_total", 2.5, method="card")
    assert (await samples(telemetry, "shop_orders_total"))[("method", "card"),] == 3.5
    text = await exposition(telemetry)
    assert "# HELP shop_orders_total Orders taken." in text
    assert "# TYPE shop_orders_total counter" in text


async def test_the_name_of_a_counter_is_exposed_as_it_is() -> None:
    telemetry = make_telemetry(metrics=[Counter("shop_returns"), ORDERS])
    openmetrics = {"accept": "application/openmetrics-text"}
    try:
        text = await exposition(telemetry)
        typed = (await get(telemetry.metrics_app(), "/metrics", headers=openmetrics)).text
    finally:
        telemetry.shutdown(1)
    assert "# TYPE shop_returns counter\nshop_returns 0\n" in text
    assert "# TYPE shop_returns unknown\nshop_returns 0\n" in typed
    assert "# TYPE shop_orders counter\nshop_orders_total{" in typed


async def test_a_value_outside_the_closed_set_is_other(telemetry) -> None:
    for value in ("bitcoin", "CARD", "", 7, None):
        telemetry.add("shop_orders_total", method=value)
    assert (await samples(telemetry, "shop_orders_total"))[("method", "other"),] == 5


async def test_a_histogram_has_the_declared_buckets(telemetry) -> None:
    for items in (1, 2, 7, 100):
        telemetry.record("shop_basket_items", items)
    buckets = {
        dict(labels)["le"]: value for labels, value in (await samples(telemetry, "shop_basket_items_bucket")).items()
    }
    assert buckets == {"1.0": 1, "5.0": 2, "10.0": 3, "+Inf": 4}


async def test_a_gauge_is_absent_until_it_is_set_and_after_it_is_removed(telemetry) -> None:
    assert "shop_open_carts" not in await exposition(telemetry)
    telemetry.set("shop_open_carts", 12, region="eu")
    telemetry.set("shop_open_carts", 3, region="eu")
    telemetry.set("shop_open_carts", -1, region="us")
    assert await samples(telemetry, "shop_open_carts") == {(("region", "eu"),): 3, (("region", "us"),): -1}
    telemetry.set("shop_open_carts", None, region="eu")
    assert await samples(telemetry, "shop_open_carts") == {(("region", "us"),): -1}
    telemetry.observe("shop_open_carts", lambda: [(8, {"region": "mars"})])
    assert (await samples(telemetry, "shop_open_carts"))[("region", "other"),] == 8


async def test_a_category_puts_a_metric_on_its_endpoint_and_into_the_reference(telemetry) -> None:
    assert "shop_orders_total" in await exposition(telemetry, "/prometheus/metrics/business")
    assert "shop_basket_items" not in await exposition(telemetry, "/prometheus/metrics/business")
    assert "`shop_orders_total` | counter | `method`: `card`, `cash`" in await exposition(
        telemetry, "/prometheus/metrics/docs"
    )


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (lambda t: t.add("shop_order_total"), "no metric shop_order_total is declared"),
        (lambda t: t.add("shop_orders_total"), "shop_orders_total has the labels method; given: none"),
        (lambda t: t.add("shop_orders_total", method="card", vip=True), "given: method, vip"),
        (lambda t: t.record("shop_orders_total", 1, method="card"), "shop_orders_total is a Counter: call add"),
        (lambda t: t.add("shop_open_carts", region="eu"), "shop_open_carts is a Gauge: call set"),
        (lambda t: t.observe("shop_basket_items", list), "shop_basket_items is a Histogram: call record"),
        (lambda t: t.llm, "name the models of each provider"),
    ],
)
def test_a_mistake_in_the_code_says_what_to_change(telemetry, record, message) -> None:
    with pytest.raises(MetricError, match=message):
        record(telemetry)


def test_a_documented_name_stays_taken_where_the_family_has_another() -> None:
    with pytest.raises(MetricError, match="belongs to the family fastapi_requests_total"):
        make_telemetry(metrics=[Counter("fastapi_requests_total")], http_prefix="http")


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        (Counter("shop-orders"), "is no metric name"),
        (Counter("0shop"), "is no metric name"),
        (Counter("up"), "reserved for Prometheus"),
        (Counter("fastapi_requests_total"), "belongs to the family fastapi_requests_total"),
        (Counter("Fastapi_requests_total"), "belongs to the family fastapi_requests_total"),
        (Counter("telemetry_exported_total"), "belongs to the family telemetry_exported_total"),
        (Counter("fastapi_requests_duration_seconds_count"), "belongs to the family fastapi_requests_duration_seconds"),
        (Counter("shop_basket_items_sum"), "belongs to the family shop_basket_items"),
        (Counter("shop_a", labels={"le": ("1",)}), "'le' cannot be a label"),
        (Counter("shop_a", labels={"__name__": ("1",)}), "cannot be a label"),
        (Counter("shop_a", labels={"method": "card"}), "must name every value"),
        (Counter("shop_a", labels={"method": ()}), "must name every value"),
        (
            Counter("shop_a", labels={f"l{n}": ("1", "2", "3") for n in range(6)}),
            "could have 4096 series, at most 2000 are allowed",
        ),
        (Counter("shop_a", category="shop"), "category must be one of system, providers"),
        (Histogram("shop_a", buckets=(2, 1)), "buckets must be finite numbers that increase"),
        (Histogram("shop_a", buckets=()), "buckets must be finite numbers that increase"),
    ],
)
def test_a_declaration_that_cannot_work_says_what_to_change(metric, message) -> None:
    with pytest.raises(MetricError, match=message):
        make_telemetry(metrics=[ITEMS, metric])


async def test_a_value_that_cannot_be_recorded_is_skipped_and_logged_once(telemetry, caplog) -> None:
    with caplog.at_level(logging.WARNING, "otel.instrument.own_metrics"):
        for value in (-1, float("nan"), float("inf")):
            telemetry.add("shop_orders_total", value, method="card")
    assert [record.getMessage() for record in caplog.records] == [
        "shop_orders_total cannot take -1: it is skipped, later ones without a line"
    ]
    assert (await samples(telemetry, "shop_orders_total"))[("method", "card"),] == 0


async def test_with_telemetry_off_recording_does_nothing_and_mistakes_still_show() -> None:
    telemetry = make_telemetry(metrics=[ORDERS, CARTS], environ={"OTEL_SDK_DISABLED": "true"})
    telemetry.add("shop_orders_total", method="card")
    telemetry.set("shop_open_carts", 1, region="eu")
    assert await exposition(telemetry) == ""
    with pytest.raises(MetricError):
        telemetry.add("shop_order_total")
