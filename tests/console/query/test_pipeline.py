"""The state of the pipeline: what senders report of themselves, what the console holds, the doctor's result."""

import json
import os
from pathlib import Path

import pytest

from console.query.doctor_result import place_of, read_doctor
from console.query.facets import read_facets
from console.query.families import read_family_list
from console.query.pipeline import read_pipeline
from tests.harness.console import log_record, logs, metrics, resource, span, traces
from tests.harness.console_metrics import counter, exponential, gauge, histogram, summary
from tests.harness.gateway_lines import request_line

TRACES = {"signal": "traces"}


def number(name, *points):
    return counter(f"gatewayz_telemetry_{name}", *points)


async def test_a_sender_reports_what_it_queued_exported_and_lost(console, look, tmp_path):
    origin = resource(service__name="g", service__instance__id="i1")
    await console.send(
        metrics(
            gauge("gatewayz_telemetry_queued_items", (-20, 7.0, TRACES), (-10, 5.0, TRACES)),
            gauge("gatewayz_telemetry_queued_bytes", (-10, 512.0, TRACES)),
            number("exported_total", (-10, 100, TRACES)),
            number(
                "dropped_total",
                (-10, 2, {**TRACES, "reason": "buffer_full"}),
                (-10, 1, {**TRACES, "reason": "rejected"}),
            ),
            number("overflow_total", (-10, 4, {"metric": "c"})),
            counter("c", (-10, 1, {"n": "1"}), (-10, 1, {"n": "2"})),
            origin=origin,
        )
    )
    await console.send(traces(span()))
    with look() as view:
        found = read_pipeline(view, console.store.state(), tmp_path / "doctor.json", None)
    (delivery,) = found.deliveries
    assert (delivery.service, delivery.instance, delivery.signal) == ("g", "i1", "traces")
    assert (delivery.queued_items, delivery.queued_bytes, delivery.exported, delivery.retries) == (5, 512, 100, None)
    assert delivery.dropped == {"buffer_full": 2, "rejected": 1}
    assert [(each.name, each.series, each.overflow) for each in found.families if each.name == "c"] == [("c", 2, 4)]
    signals = {each.signal: each.received for each in found.store.signals}
    assert (signals["traces"], found.store.spans, found.doctor) == (1, 1, None)


async def test_an_instrumented_application_reports_the_same_without_the_prefix(console, look, tmp_path):
    origin = resource(service__name="shop", service__instance__id="i1")
    await console.send(
        metrics(
            gauge("telemetry_queued_items", (-10, 5.0, TRACES)),
            counter("telemetry_exported_total", (-10, 100, TRACES)),
            counter("telemetry_dropped_total", (-10, 2, {**TRACES, "reason": "buffer_full"})),
            counter("telemetry_overflow_total", (-10, 4, {"metric": "shop_orders_total"})),
            counter("shop_orders_total", (-10, 1, {})),
            origin=origin,
        )
    )
    with look() as view:
        found = read_pipeline(view, console.store.state(), tmp_path / "doctor.json", None)
    (delivery,) = found.deliveries
    assert (delivery.service, delivery.queued_items, delivery.exported) == ("shop", 5, 100)
    assert delivery.dropped == {"buffer_full": 2}
    assert {each.name: each.overflow for each in found.families}["shop_orders_total"] == 4


def test_the_page_shows_no_folder_of_the_machine_but_the_home():
    file = Path("/home/anna/my files/doctor.json")
    assert place_of(file, Path("/home/anna")) == "~/'my files/doctor.json'"
    assert place_of(Path("/home/anna/doctor.json"), Path("/home/anna")) == "~/doctor.json"
    assert place_of(file, Path("/home/ann")) == place_of(file, None) == "FOLDER/doctor.json"


def test_the_doctors_result_is_read_from_its_json(tmp_path):
    file = tmp_path / "doctor.json"
    checks = [
        {"check": "export.accepted", "state": "broken", "found": "refused", "fix": "start it", "follows_from": None}
    ]
    file.write_text(json.dumps({"healthy": False, "broken": ["export.accepted"], "trace_id": None, "checks": checks}))
    os.utime(file, (1_000, 1_000))
    result = read_doctor(file)
    assert result is not None
    assert (result.at, result.findings[0].title, result.findings[0].status) == (1_000, "export.accepted", "broken")
    assert result.findings[0].detail == "refused; start it"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"checks": 5}', '{"checks": [{"check": 1}]}'])
def test_what_is_no_result_is_none(tmp_path, text):
    file = tmp_path / "doctor.json"
    file.write_text(text)
    assert read_doctor(file) is None


async def test_facets_are_the_values_that_occur(console, look):
    await console.send(logs(request_line(-5, model="b", provider="x", status=502), request_line(-4, model="a")))
    await console.send(logs(log_record(), origin=resource(service__name="jobs")))
    with look() as view:
        found = {
            each.field: each.values
            for each in read_facets(view, ("model", "status", "plan", "service", "logger")).facets
        }
    assert found == {
        "model": ["a", "b"],
        "status": ["200", "502"],
        "plan": [],
        "service": ["jobs", "shop"],
        "logger": ["gatewayz.request", "shop.logger"],
    }


async def test_families_say_what_can_be_drawn_of_them(console, look):
    labels = {"provider": "a"}
    await console.send(
        metrics(
            counter("total", (-10, 1, labels), (-10, 1, {"model": "m"})),
            counter("steps", (-10, 1, {}), delta=True),
            gauge("now", (-10, 1.0, {})),
            histogram("seconds", (-10, [1, 0, 0], {})),
            exponential("fine", (-10, [1], {})),
            summary("old", (-10, {0.5: 1.0})),
            origin=resource(service__name="g"),
        )
    )
    with look() as view:
        found = {each.name: each for each in read_family_list(view, ()).families}
        assert read_family_list(view, ("other",)).families == []
    assert {name: each.functions for name, each in found.items()} == {
        "fine": ["quantile", "rate", "average", "increase"],
        "now": ["value"],
        "old": ["value", "rate", "average", "increase"],
        "seconds": ["quantile", "rate", "average", "increase", "buckets"],
        "steps": ["rate", "increase"],
        "total": ["rate", "increase", "value"],
    }
    total = found["total"]
    assert (total.series, total.labels, total.services) == (2, ["model", "provider", "resource.service.name"], ["g"])
    assert (total.temporality, total.monotonic, total.unit) == ("cumulative", True, "{request}")
