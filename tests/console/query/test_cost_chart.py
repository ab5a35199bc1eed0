"""The chart of the cost report: its steps add up to the total, and are fine where the window is short."""

import pytest

from console.query.cost import read_cost
from tests.harness.console import metrics
from tests.harness.console_metrics import at, counter


def cost(provider, *points, started=-3_000):
    labels = {"provider": provider, "model": "m", "cost_source": "priced"}
    return counter("gatewayz_cost_usd_total", *((at_s, usd, labels) for at_s, usd in points), started=started)


@pytest.fixture
def report(look):
    def read(begin_s):
        with look() as view:
            return read_cost(view, "range", begin_ns=at(begin_s), end_ns=at(0))

    return read


def values(chart, provider):
    return next(line.values for line in chart.series if line.labels["provider"] == provider)


def pushed(provider, first_s, every_s, step=0.25):
    times = range(first_s, 1, every_s)
    return cost(provider, *((at_s, step * number) for number, at_s in enumerate(times)), started=first_s - 1)


async def test_two_minutes_of_pushes_each_5_seconds_have_steps_of_10(console, report):
    await console.send(metrics(pushed("a", -120, 5)))
    chart = report(-86_400).chart
    assert chart.step_seconds == 10
    # From a second before the first push, when the counting began: 12 whole steps and one of the first second.
    assert values(chart, "a") == [0.0] + [0.5] * 12
    assert [at(0) / 1e9 - each for each in chart.times] == [10.0 * back for back in range(12, -1, -1)]


@pytest.mark.parametrize(("every_s", "step_s"), [(15, 30), (60, 120), (100, 300)])
async def test_no_step_is_shorter_than_two_pushes(console, report, every_s, step_s):
    await console.send(metrics(pushed("a", -3_000, every_s)))
    chart = report(-1_200).chart
    assert chart.step_seconds == step_s
    assert None not in values(chart, "a")


@pytest.mark.parametrize("begin_s", [-86_400, -2_950, -900, -437, -300, -11])
async def test_the_steps_add_up_to_the_total_over_restarts_and_new_series(console, report, begin_s):
    await console.send(
        metrics(
            cost("a", (-2_900, 1.0), (-1_000, 3.5), (-400, 4.0), (-200, 0.25), (-10, 0.5)),
            cost("b", (-2_900, 8.0), (-290, 8.5), (-5, 8.75)),
            cost("c", (-100, 0.5), (-3, 0.75), started=-120),
        )
    )
    found = report(begin_s)
    counted = [value for line in found.chart.series for value in line.values if value is not None]
    assert sum(counted) == found.total_usd


async def test_what_was_counted_long_before_the_console_saw_it_is_in_the_total_and_in_no_step(console, report):
    await console.send(metrics(cost("a", (-120, 7.0), (-60, 7.5), (-1, 8.25), started=-2_000)))
    found = report(-86_400)
    assert found.total_usd == 8.25
    assert values(found.chart, "a") == [1.25]


async def test_providers_have_lines_the_costliest_first(console, report):
    await console.send(metrics(cost("a", (-700, 0.0), (-10, 1.0)), cost("b", (-700, 0.0), (-10, 4.0))))
    chart = report(-300).chart
    assert [line.labels["provider"] for line in chart.series] == ["b", "a"]
    assert (chart.unit, values(chart, "a"), values(chart, "b")) == ("USD", [1.0], [4.0])


async def test_a_step_without_a_sample_is_a_gap(console, report):
    times = (*range(-120, -79, 5), -10)
    await console.send(metrics(cost("a", *((at_s, 0.25 * n) for n, at_s in enumerate(times)), started=-120)))
    chart = report(-86_400).chart
    assert (chart.step_seconds, values(chart, "a")) == (10, [0.5, 0.5, 0.5, 0.5, *[None] * 6, 0.25, None])


async def test_without_a_cost_there_is_no_chart(console, report):
    await console.send(metrics(counter("other_total", (-10, 1, {}))))
    assert report(-300).chart is None
