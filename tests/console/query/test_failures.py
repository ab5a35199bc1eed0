"""Failed attempts in groups, against spans and counters that are known."""

import pytest

from console.query.failures import FailureFilter, read_failures
from tests.harness.console import logs, metrics, resource, traces
from tests.harness.console_metrics import at, counter
from tests.harness.gateway_lines import attempt_line, attempt_span, server_span


def read(view, begin=-300, order="count", **wanted):
    return read_failures(view, FailureFilter(**wanted), begin_ns=at(begin), end_ns=at(0), order=order)


async def test_failures_with_the_same_cause_are_one_group_with_an_example(console, look):
    await console.send(
        traces(
            attempt_span(1, 1, "a", "upstream_5xx", -400),
            attempt_span(2, 1, "a", "upstream_5xx", -200, **{"gatewayz.fault": "provider"}),
            attempt_span(3, 1, "a", "upstream_5xx", -20),
            attempt_span(4, 1, "a", "rate_limited", -10),
            attempt_span(5, 1, "b", None, -5),
            server_span(3, -21),
        )
    )
    await console.send(logs(attempt_line(3, "a", "upstream_5xx", "overloaded", -19)))
    labels = {"provider": "a", "model": "small", "error_kind": "upstream_5xx"}
    await console.send(metrics(counter("gatewayz_attempt_failures_total", (-350, 10, labels), (-5, 13, labels))))
    with look() as view:
        newest, other = read(view, order="last_seen").groups
        assert (newest.error_kind, newest.count, newest.counted, newest.fault) == ("rate_limited", 1, None, "policy")
        assert (other.provider, other.model, other.error_kind, other.fault) == (
            "a",
            "small",
            "upstream_5xx",
            "provider",
        )
        assert (other.count, other.counted) == (2, 3)
        assert (other.first_seen, other.last_seen) == (at(-200) / 1e9, at(-20) / 1e9)
        assert (int(other.example_trace_id, 16), other.reason) == (3, "overloaded")
        assert [group.error_kind for group in read(view, error_kinds=("upstream_5xx",)).groups] == ["upstream_5xx"]
        assert read(view, providers=("b",)).groups == []
        assert len(read(view, begin=-500).groups[1:]) == 1


async def test_failures_of_other_programs_have_no_provider(console, look):
    foreign = attempt_span(7, 1, "x", None, -5)
    del foreign.attributes[:]
    foreign.status.code = 2
    await console.send(traces(foreign, origin=resource(service__name="shop")))
    with look() as view:
        (group,) = read(view).groups
        assert (group.provider, group.model, group.error_kind, group.fault, group.count) == (None, None, None, None, 1)
        assert int(group.example_trace_id, 16) == 7
        assert len(read(view, services=("shop",)).groups) == 1
        assert read(view, services=("other",)).groups == []


async def test_failures_whose_traces_are_not_sampled_are_shown_by_their_counter(console, look):
    labels = {"provider": "a", "model": "small", "error_kind": "pool_timeout"}
    await console.send(metrics(counter("gatewayz_attempt_failures_total", (-350, 10, labels), (-5, 13, labels))))
    with look() as view:
        (group,) = read(view).groups
        assert (group.provider, group.error_kind, group.fault, group.count, group.counted) == (
            "a",
            "pool_timeout",
            "gateway",
            0,
            3,
        )
        assert (group.last_seen, group.example_trace_id) == (None, None)
        assert read(view, models=("large",)).groups == []


def failed(provider, *counts, started=-350):
    labels = {"provider": provider, "model": "small", "error_kind": "upstream_5xx"}
    return counter("gatewayz_attempt_failures_total", (started, counts[0], labels), (-5, counts[1], labels))


@pytest.fixture
async def three_groups(console):
    """`often` has the most spans, `counted` the most failures, most of them without a span, `late` is the newest."""
    await console.send(
        traces(
            *(attempt_span(number, 1, "often", "upstream_5xx", -200 - number) for number in range(1, 5)),
            attempt_span(11, 1, "counted", "upstream_5xx", -290),
            attempt_span(12, 1, "late", "upstream_5xx", -20),
            attempt_span(13, 1, "late", "upstream_5xx", -280),
        )
    )
    await console.send(metrics(failed("counted", 0, 50), failed("unsampled", 0, 3)))


@pytest.mark.parametrize(
    ("order", "names"),
    [
        ("count", ["counted", "often", "unsampled", "late"]),
        ("last_seen", ["late", "often", "counted", "unsampled"]),
        ("first_seen", ["often", "late", "counted", "unsampled"]),
    ],
)
async def test_the_order_of_groups_is_chosen(three_groups, look, order, names):
    with look() as view:
        failures = read(view, order=order)
    assert [group.provider for group in failures.groups] == names
    assert (failures.order, failures.left_out, failures.truncated) == (order, 0, False)


async def test_the_groups_beyond_a_screen_are_counted_and_the_most_frequent_are_shown(three_groups, look, monkeypatch):
    monkeypatch.setattr("console.query.failures.MAX_GROUPS", 2)
    with look() as view:
        failures = read(view)
    assert [(group.provider, group.count, group.counted) for group in failures.groups] == [
        ("counted", 1, 50),
        ("often", 4, None),
    ]
    assert (failures.left_out, failures.truncated) == (2, True)
