"""The comparison with the window before, against sums computed by hand."""

from datetime import UTC, datetime

import pytest

from console.query.cost import read_cost
from console.query.earlier import earlier_window
from tests.harness.console import SECOND_NS, logs, metrics
from tests.harness.console_metrics import at, counter
from tests.harness.gateway_lines import request_line

COST = "gatewayz_cost_usd_total"


def cost(provider, *points, source="priced", delta=False, started=-3_000):
    labels = {"provider": provider, "model": f"m-{provider}", "cost_source": source}
    return counter(COST, *((at_s, usd, labels) for at_s, usd in points), delta=delta, started=started)


def utc(text):
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * SECOND_NS


@pytest.mark.parametrize(
    ("period", "begin", "end", "earlier"),
    [
        ("today", "2030-03-17T00:00", "2030-03-17T17:46", ("2030-03-16T00:00", "2030-03-16T17:46")),
        ("month", "2030-04-01T00:00", "2030-04-17T17:46", ("2030-03-01T00:00", "2030-03-17T17:46")),
        ("month", "2030-03-01T00:00", "2030-03-30T12:00", ("2030-02-01T00:00", "2030-03-01T00:00")),
        ("month", "2030-01-01T00:00", "2030-01-02T00:00", ("2029-12-01T00:00", "2029-12-02T00:00")),
        ("range", "2030-03-17T17:00", "2030-03-17T17:46", ("2030-03-17T16:14", "2030-03-17T17:00")),
    ],
)
def test_each_period_is_compared_with_what_precedes_it(period, begin, end, earlier):
    assert earlier_window(period, utc(begin), utc(end)) == tuple(utc(each) for each in earlier)


@pytest.fixture
def before(look):
    def read(begin_s=-300):
        with look() as view:
            return read_cost(view, "range", begin_ns=at(begin_s), end_ns=at(0)).before

    return read


async def test_the_costs_are_those_of_the_window_before(console, before):
    await console.send(
        metrics(
            # Before -600: 1.0. From -600 to -300: 0.25. Since -300: 9.
            cost("a", (-700, 1.0), (-450, 1.125), (-300, 1.25), (-10, 10.25)),
            # Nothing of it was spent in the window before.
            cost("b", (-610, 2.0), (-310, 2.0), (-10, 3.0)),
            # Its counting began there.
            cost("c", (-400, 0.5), (-10, 0.5), source="estimated", started=-420),
        )
    )
    found = before()
    assert (found.window.from_, found.window.to) == (at(-600) / SECOND_NS, at(-300) / SECOND_NS)
    assert found.total_usd == 0.75
    assert found.by_provider == {"a": 0.25, "b": 0.0, "c": 0.5}
    assert found.by_model == {"m-a": 0.25, "m-b": 0.0, "m-c": 0.5}
    assert found.by_source == {"priced": 0.25, "estimated": 0.5}


@pytest.mark.parametrize("delta", [True, False])
async def test_a_window_of_which_the_begin_is_not_held_is_unknown(console, before, delta):
    await console.send(metrics(cost("a", (-590, 1.0), (-400, 1.5), (-10, 2.0), delta=delta, started=-595)))
    found = before()
    assert (found.total_usd, found.by_provider, found.by_model, found.by_source) == (None, None, None, None)
    assert before(begin_s=-290).total_usd == (1.5 if delta else 0.5)


async def test_what_a_series_had_counted_before_it_was_seen_makes_the_window_unknown(console, before):
    await console.send(
        metrics(cost("a", (-700, 1.0), (-400, 1.5)), cost("b", (-500, 5.0), (-400, 5.0), started=-90_000))
    )
    assert before().total_usd is None


async def test_a_window_in_which_nothing_arrived_is_unknown_not_zero(console, before):
    await console.send(metrics(cost("a", (-700, 1.0), (-100, 1.5))))
    assert before().total_usd is None


async def test_plans_and_keys_are_compared_by_request_lines(console, before):
    call = {"operation": "chat"}
    await console.send(
        logs(
            request_line(-650, plan="free", key_id="k1", cost_usd=9.0, **call),
            request_line(-500, plan="free", key_id="k1", cost_usd=0.25, **call),
            request_line(-400, plan="free", key_id="k2", cost_usd=0.5, **call),
            request_line(-301, plan="pro", key_id="k3", cost_usd=0.125, **call),
            request_line(-300, plan="pro", key_id="k3", cost_usd=7.0, **call),
        )
    )
    found = before()
    assert found.by_plan == {"free": 0.75, "pro": 0.125}
    assert found.by_key == {"k1": 0.25, "k2": 0.5, "k3": 0.125}
    assert found.total_usd is None
    earlier = before(begin_s=-400)
    assert (earlier.by_plan, earlier.by_key) == (None, None)
