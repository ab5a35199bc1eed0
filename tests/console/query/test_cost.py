"""The cost report, against sums computed by hand."""

import math
import sqlite3
from datetime import UTC, datetime

import msgspec
import pytest

from console.query.cost import period_window, read_cost
from tests.harness.console import SECOND_NS, logs, metrics
from tests.harness.console_metrics import at, counter
from tests.harness.gateway_lines import request_line


def labels(provider, model, **more):
    return {"provider": provider, "model": model, **more}


def cost(provider, model, source, *points):
    return counter(
        "gatewayz_cost_usd_total", *((at_s, usd, labels(provider, model, cost_source=source)) for at_s, usd in points)
    )


@pytest.fixture
async def spent(console):
    await console.send(
        metrics(
            cost("a", "small", "priced", (-500, 0.1), (-10, 0.4)),
            cost("a", "small", "estimated", (-500, 0.0), (-10, 0.05)),
            cost("b", "large", "reported", (-500, 1.0), (-10, 1.65)),
            cost("c", "idle", "priced", (-500, 0.0), (-10, 0.0)),
            counter(
                "tokens_used_total",
                *((at_s, n, labels("a", "small", token_type="input")) for at_s, n in ((-500, 100), (-10, 1_100))),
                *((at_s, n, labels("a", "small", token_type="output")) for at_s, n in ((-500, 0), (-10, 500))),
                *((at_s, n, labels("b", "large", token_type="input")) for at_s, n in ((-500, 0), (-10, 1_000))),
            ),
            counter(
                "gatewayz_tokens_detail_total",
                *((at_s, n, labels("a", "small", token_detail="cached")) for at_s, n in ((-500, 0), (-10, 500))),
                *((at_s, n, labels("a", "small", token_detail="reasoning")) for at_s, n in ((-500, 0), (-10, 90))),
            ),
            counter(
                "model_inference_requests_total",
                *((at_s, n, labels("a", "small", status="success")) for at_s, n in ((-500, 5), (-10, 15))),
                *((at_s, n, labels("b", "large", status="error")) for at_s, n in ((-500, 0), (-10, 2))),
            ),
            counter("gatewayz_unpriced_tokens_total", (-500, 0, labels("d", "x")), (-10, 250, labels("d", "x"))),
            counter(
                "gatewayz_exposure_usd_total", (-500, 0.0, labels("a", "small")), (-10, 0.02, labels("a", "small"))
            ),
        )
    )
    call = {"operation": "chat", "input_tokens": 100, "output_tokens": 10}
    await console.send(
        logs(
            request_line(-50, plan="free", key_id="key_1", cost_usd=0.25, cached_tokens=40, **call),
            request_line(-40, plan="free", key_id="key_2", cost_usd=0.25, **call),
            request_line(-30, plan="pro", key_id="key_3", cost_usd=0.5, **call),
            request_line(-20, path="/health/live", plan=None),
            request_line(-900, plan="free", key_id="key_1", cost_usd=99.0, **call),
        )
    )


async def test_the_report_has_the_sums_of_the_window(spent, look):
    with look() as view:
        report = read_cost(view, "range", begin_ns=at(-300), end_ns=at(0))
    assert report.total_usd == 1.0
    assert {row.name: row.cost_usd for row in report.by_provider} == {"b": 0.65, "a": 0.35}
    assert {row.name: row.cost_usd for row in report.by_model} == {"large": 0.65, "small": 0.35}
    assert {row.name: row.cost_usd for row in report.by_source} == {"reported": 0.65, "priced": 0.3, "estimated": 0.05}
    assert report.estimated_share == pytest.approx(0.05)
    assert (report.cached_share, report.unpriced_tokens) == (0.25, 250)
    assert report.unpriced_share == pytest.approx(250 / 2_500)
    assert report.exposure_usd == 0.02
    first = report.by_provider[1]
    assert (first.name, first.input_tokens, first.output_tokens, first.cached_tokens) == ("a", 1_000, 500, 500)
    assert (first.requests, first.share) == (10, pytest.approx(0.35))
    assert report.window.covered_from is None


async def test_plans_and_keys_are_sums_of_request_lines(spent, look):
    with look() as view:
        report = read_cost(view, "range", begin_ns=at(-300), end_ns=at(0))
    assert report.requests_total_usd == 1.0
    assert [(row.name, row.cost_usd, row.requests) for row in report.by_plan] == [("free", 0.5, 2), ("pro", 0.5, 1)]
    keys = {row.name: (row.cost_usd, row.input_tokens, row.output_tokens, row.cached_tokens) for row in report.by_key}
    assert keys == {"key_1": (0.25, 100, 10, 40), "key_2": (0.25, 100, 10, 0), "key_3": (0.5, 100, 10, 0)}


@pytest.mark.parametrize("begin_s", [-60, -3_710, -7_200])
async def test_sums_of_more_than_64_bits_are_no_error(console, look, begin_s):
    most, call = 2**63 - 1, {"operation": "chat", "plan": "free", "key_id": "key_1", "cost_usd": 9e9}
    for at_s in (-3_700, -50, -40):
        await console.send(logs(request_line(at_s, input_tokens=most, **call)))
    with look() as view:
        report = read_cost(view, "range", begin_ns=at(begin_s), end_ns=at(-1))
    [row] = report.by_key
    assert row.input_tokens == pytest.approx(row.requests * most)
    assert msgspec.json.encode(report)


@pytest.mark.parametrize("delta", [True, False])
@pytest.mark.parametrize("values", [(math.inf,), (-math.inf, math.inf), (1e308, 1e308), (1e308, math.nan)])
async def test_numbers_without_bounds_are_no_error(console, look, values, delta):
    def metric(name, **more):
        points = (
            (at_s, value, labels(provider, "small", **more))
            for provider in ("a", "b")
            for at_s, value in zip((-500, -50, -40), (1.0, *values), strict=False)
        )
        return counter(name, *points, delta=delta)

    await console.send(
        metrics(
            metric("gatewayz_cost_usd_total", cost_source="priced"),
            metric("tokens_used_total", token_type="input"),
            metric("gatewayz_unpriced_tokens_total"),
            metric("gatewayz_exposure_usd_total"),
        )
    )
    with look() as view:
        report = read_cost(view, "range", begin_ns=at(-300), end_ns=at(0))
    assert msgspec.json.encode(report)


async def test_without_telemetry_a_cost_is_unknown_not_zero(console, look):
    with look() as view:
        report = read_cost(view, "today", begin_ns=at(-300), end_ns=at(0))
    assert (report.total_usd, report.requests_total_usd, report.cached_share) == (None, None, None)
    assert report.by_provider == []


async def test_what_a_counter_had_before_the_console_is_marked_as_not_covered(console, look):
    await console.send(metrics(counter("gatewayz_cost_usd_total", (-200, 5.0, {}), (-10, 5.5, {}), started=-90_000)))
    with look() as view:
        report = read_cost(view, "range", begin_ns=at(-300), end_ns=at(0))
    assert (report.total_usd, report.window.covered_from) == (0.5, at(-200) / SECOND_NS)


def test_days_and_months_begin_at_midnight_utc():
    now_ns = int(datetime(2030, 3, 17, 17, 46, 40, tzinfo=UTC).timestamp()) * SECOND_NS
    today, month = (period_window(period, 0, now_ns)[0] // SECOND_NS for period in ("today", "month"))
    assert datetime.fromtimestamp(today, UTC).isoformat() == "2030-03-17T00:00:00+00:00"
    assert datetime.fromtimestamp(month, UTC).isoformat() == "2030-03-01T00:00:00+00:00"


@pytest.mark.parametrize("begin", [-7_300, -6_400, -2_801, -2_800, -2_799, -50])
@pytest.mark.parametrize("end", [-3_000, -2_800, -2_799, -5, 0])
async def test_hours_and_parts_of_hours_are_every_row_once(console, look, begin, end):
    # The harness's now is 2 800 seconds after a whole hour.
    times = (-7_200, -6_401, -6_400, -6_399, -2_801, -2_800, -2_799, -50, -6, -1)
    await console.send(
        logs(
            *(request_line(each, key_id="k", cost_usd=2.0**index, operation="chat") for index, each in enumerate(times))
        )
    )
    if begin >= end:
        return
    with look() as view:
        report = read_cost(view, "range", begin_ns=at(begin), end_ns=at(end))
    expected = [2.0**index for index, each in enumerate(times) if begin <= each < end]
    assert (report.requests_total_usd or 0) == sum(expected)
    assert sum(row.requests for row in report.by_key) == len(expected)


async def test_the_sums_of_hours_are_those_of_the_rows_that_are_left(console):
    call = {"operation": "chat", "input_tokens": 3, "output_tokens": 4}
    await console.send(
        logs(
            request_line(-50, key_id="a", cost_usd=0.5, **call),
            request_line(-40, key_id="a", plan="pro", cost_usd=0.25, cached_tokens=1, **call),
            request_line(-30, key_id="a", cost_usd=0.125, **call),
            request_line(-20, path="/health/live"),
        )
    )
    columns = "plan, key_id, requests, cost_nanousd, input_tokens, output_tokens, cached_tokens"
    sums = f"SELECT {columns} FROM request_sums"  # noqa: S608  fixed names
    assert sorted(console.rows(sums)) == [("", "a", 2, 625_000_000, 6, 8, 0), ("pro", "a", 1, 250_000_000, 3, 4, 1)]
    with sqlite3.connect(console.store.path) as connection:
        connection.execute("DELETE FROM requests WHERE log IN (SELECT log FROM requests ORDER BY log LIMIT 2)")
    connection.close()
    assert console.rows(sums) == [("", "a", 1, 125_000_000, 3, 4, 0)]
