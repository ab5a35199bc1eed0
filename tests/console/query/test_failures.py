"""Failed attempts in groups, against spans and counters that are known."""

from console.query.failures import FailureFilter, read_failures
from tests.harness.console import logs, metrics, resource, traces
from tests.harness.console_metrics import at, counter
from tests.harness.gateway_lines import attempt_line, attempt_span, server_span


def read(view, begin=-300, **wanted):
    return read_failures(view, FailureFilter(**wanted), begin_ns=at(begin), end_ns=at(0))


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
        failures = read(view)
        newest, other = failures.groups
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
