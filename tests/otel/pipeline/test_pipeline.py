"""The composed telemetry: an event comes out at the exposition, categories add up, and building or stopping it touches no network."""

import io
import json
import logging
import random
import time

import pytest
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from otel.catalogue import CATALOGUE, families_of
from otel.catalogue.spec import Category, Kind, Label, MetricSpec
from otel.config.environ import telemetry_config_from_environ
from otel.events import RequestFinished, RequestReceived
from otel.labels import LabelBounds
from otel.pipeline import Pipeline, PipelineSettings, build_pipeline

BOUNDS = LabelBounds.from_routes("gw", (("p1", "m1"), ("p2", "m1")), paths=frozenset({"/v1/models"}))


def build(environ: dict[str, str] | None = None, stdout: io.StringIO | None = None, **settings) -> Pipeline:
    return build_pipeline(
        telemetry_config_from_environ(environ or {}),
        PipelineSettings(
            bounds=BOUNDS,
            version="1.2.3",
            instance_id="i-1",
            clock=time.monotonic,
            unix_ns=time.time_ns,
            rng=random.Random(1),
            stdout=stdout,
            share_seconds=0.0,
            **settings,
        ),
    )


@pytest.fixture
def telemetry():
    telemetry = build()
    yield telemetry
    telemetry.shutdown(1)


def text(telemetry: Pipeline, category: Category | None = None, accept: str = "text/plain") -> str:
    response = telemetry.exposition.respond(method="GET", accept=accept, accept_encoding=None, category=category)
    assert response.status == 200
    return response.body.decode()


def names(exposition: str) -> set[str]:
    return {line.split()[2] for line in exposition.splitlines() if line.startswith("# TYPE")}


def serve_one(telemetry: Pipeline, path: str = "/v1/models") -> str:
    request = telemetry.recorder.start_request(RequestReceived(method="GET", path=path))
    request.finish(RequestFinished(status_code=200, duration_seconds=0.3, outcome="ok"))
    return request.trace_id


def test_an_event_becomes_a_sample_under_its_documented_name(telemetry: Pipeline) -> None:
    serve_one(telemetry)
    samples = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text(telemetry))
        for sample in family.samples
    }
    route = (("app_name", "gw"), ("method", "GET"), ("path", "/v1/models"))
    assert samples["fastapi_requests_total", (*route, ("status_code", "200"))] == 1
    assert samples["fastapi_requests_in_progress", route] == 0
    assert samples["fastapi_requests_duration_seconds_count", route] == 1
    assert samples["fastapi_app_info", (("app_name", "gw"), ("version", "1.2.3"))] == 1


def test_known_series_exist_at_zero_and_unknown_gauges_do_not(telemetry: Pipeline) -> None:
    exposition = text(telemetry)
    assert 'model_inference_requests_total{provider="p1",model="m1",status="error"} 0' in exposition
    assert 'gatewayz_cost_by_provider{provider="p2"} 0' in exposition
    assert 'rate_limited_requests{limit_type="key_tokens"} 0' in exposition
    assert "provider_availability" not in exposition
    assert "active_api_keys" not in exposition


def test_categories_hold_exactly_their_families_and_add_up(telemetry: Pipeline) -> None:
    serve_one(telemetry)
    exposed = names(text(telemetry))
    union = set()
    for category in Category:
        mine = names(text(telemetry, category))
        assert mine == {spec.name for spec in families_of(category)} & exposed
        union |= mine
    uncategorised = {spec.name for spec in CATALOGUE if not spec.categories}
    assert union | (uncategorised & exposed) == exposed


def test_openmetrics_carries_the_trace_of_an_exemplar(telemetry: Pipeline) -> None:
    trace_id = serve_one(telemetry)
    exposition = text(telemetry, accept="application/openmetrics-text")
    exemplars = [
        sample.exemplar.labels["trace_id"]
        for family in openmetrics.text_string_to_metric_families(exposition)
        for sample in family.samples
        if sample.exemplar
    ]
    assert set(exemplars) == {trace_id}


def test_log_lines_of_libraries_come_out_as_json_and_logging_is_given_back() -> None:
    stdout = io.StringIO()
    telemetry = build(stdout=stdout)
    before = logging.getLogger().handlers[:]
    telemetry.install_logging()
    logging.getLogger("some.library").warning("a key sk-abcdefghijklmnop1234")
    telemetry.shutdown(1)
    assert telemetry.log_handler not in logging.getLogger().handlers
    logging.getLogger().handlers[:] = before
    line = json.loads(stdout.getvalue())
    assert (line["logger"], line["message"]) == ("some.library", "a key [redacted]")


def test_a_disabled_sdk_records_and_exposes_nothing() -> None:
    telemetry = build({"OTEL_SDK_DISABLED": "true"})
    assert serve_one(telemetry) == ""
    assert text(telemetry) == ""
    assert telemetry.shutdown(1).is_complete


def test_an_application_adds_a_family_of_its_own() -> None:
    spec = MetricSpec(
        name="own_jobs_total",
        instrument="own.jobs",
        kind=Kind.OBSERVABLE_COUNTER,
        unit="1",
        help="Own.",
        labels=(Label("kind", ("a",)),),
    )
    telemetry = build(families=[spec])
    telemetry.observe("own_jobs_total", lambda: [(7, {"kind": "a"})])
    assert 'own_jobs_total{kind="a"} 7' in text(telemetry)
    telemetry.shutdown(1)


def test_scrapes_after_shutdown_get_the_last_response() -> None:
    telemetry = build()
    serve_one(telemetry)
    before = text(telemetry)
    telemetry.shutdown(1)
    assert names(text(telemetry)) >= names(before)


def test_push_to_a_port_where_nobody_listens_ends_in_time_and_says_what_was_lost() -> None:
    telemetry = build({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"})
    telemetry.start()
    serve_one(telemetry)
    started = time.monotonic()
    report = telemetry.shutdown(1.0)
    assert time.monotonic() - started < 5
    assert report.lost_items["traces"] == 1
    assert report.lost_items["logs"] == 1
