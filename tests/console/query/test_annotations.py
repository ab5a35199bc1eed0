"""Annotations: anomalies, breaker changes, new versions and restarts, at their times."""

import json

from console.query.annotations import KINDS, read_annotations
from tests.harness.console import NOW_S, log_record, logs, metrics, resource
from tests.harness.console_metrics import at, counter

BREAKER = "gatewayz_circuit_breaker_transitions_total"


def read(view, kinds=KINDS, services=(), begin=-300):
    return read_annotations(view, kinds, services, begin_ns=at(begin), end_ns=at(1)).annotations


def anomaly(seconds, **fields):
    line = {"level": "warning", "logger": "gatewayz.anomaly", "message": "errors of provider a", **fields}
    return log_record(json.dumps(line), time_unix_nano=at(seconds), trace_id=b"5" * 16)


async def test_an_anomaly_has_its_numbers_and_its_trace(console, look):
    await console.send(logs(anomaly(-400), anomaly(-20, type="error_surge", provider="a", value=0.5, baseline=0.01)))
    with look() as view:
        (found,) = read(view)
    assert (found.kind, found.title, found.provider, found.at) == (
        "anomaly",
        "errors of provider a",
        "a",
        at(-20) / 1e9,
    )
    assert found.fields == {"type": "error_surge", "provider": "a", "value": 0.5, "baseline": 0.01}
    assert found.trace_id == (b"5" * 16).hex()


async def test_each_rise_of_the_transitions_is_a_breaker_change(console, look):
    opened, closed = ({"provider": "a", "state": state} for state in ("open", "closed"))
    await console.send(
        metrics(
            counter(
                BREAKER, *((seconds, value, opened) for seconds, value in ((-400, 1), (-200, 1), (-100, 2), (-50, 2)))
            ),
            counter(BREAKER, *((seconds, value, closed) for seconds, value in ((-400, 5), (-50, 7)))),
        )
    )
    with look() as view:
        found = read(view, kinds=("breaker",))
    assert [(each.title, each.at, each.fields["transitions"]) for each in found] == [
        ("circuit breaker of a: open", at(-100) / 1e9, 1),
        ("circuit breaker of a: closed", at(-50) / 1e9, 2),
    ]


async def test_a_change_before_the_first_sample_of_a_new_process_is_seen_and_a_restart_alone_is_none(console, look):
    await console.send(metrics(counter(BREAKER, (-100, 1, {"provider": "a", "state": "open"}), started=-120)))
    await console.send(metrics(counter(BREAKER, (-100, 9, {"provider": "b", "state": "open"}), started=-90_000)))
    with look() as view:
        assert [each.provider for each in read(view)] == ["a"]


async def test_a_sample_that_is_no_number_is_no_breaker_change(console, look):
    labels = {"provider": "a", "state": "open"}
    values = ((-400, 1.0), (-350, float("nan")), (-200, float("nan")), (-100, 2.0))
    await console.send(metrics(counter(BREAKER, *((seconds, value, labels) for seconds, value in values))))
    with look() as view:
        assert [each.at for each in read(view)] == [at(-100) / 1e9]


async def test_a_new_version_is_a_deployment_and_another_instance_a_restart(console, look):
    for seconds, version, instance in ((-250, "1", "i1"), (-200, "1", "i2"), (-100, "2", "i3"), (-50, "2", "i3")):
        console.clock.now_s = NOW_S + seconds
        origin = resource(
            service__name="g", service__version=version, service__instance__id=instance, host__name=str(seconds)
        )
        await console.send(metrics(counter("c", (seconds, 1, {})), origin=origin))
    with look() as view:
        found = read(view)
        assert [(each.kind, each.at, each.fields["previous_version"]) for each in found] == [
            ("restart", NOW_S - 200, "1"),
            ("deployment", NOW_S - 100, "1"),
        ]
        assert read(view, kinds=("deployment",), services=("other",)) == []
        assert [each.kind for each in read(view, begin=-150)] == ["deployment"]
