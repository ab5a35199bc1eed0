"""Events under the names of the semantic conventions: closed sets of attributes, and the values of the documented families."""

import random

import pytest

from otel.catalogue.conventions import CONVENTIONS, OPT_INS
from otel.config.environ import telemetry_config_from_environ
from otel.events import (
    AttemptFinished,
    AttemptStarted,
    QueryFinished,
    RequestFinished,
    RequestReceived,
)
from otel.events.usage import Usage
from otel.labels import LabelBounds
from otel.pipeline import PipelineSettings, build_pipeline
from tests.harness.clock import ManualClock
from tests.harness.exposition import read_exposition

BOUNDS = LabelBounds.from_routes("gw", (("p", "m"),), paths=frozenset({"/v1/models"}))
STARTED = AttemptStarted(
    provider="p",
    model="m",
    upstream_model="x",
    operation="chat",
    stream=True,
    number=1,
    server_address="h",
    server_port=9,
)


@pytest.fixture
def pipeline():
    """A pipeline with every opt-in, whose every scrape collects."""
    pipeline = build_pipeline(
        telemetry_config_from_environ({}, conventions=OPT_INS),
        PipelineSettings(
            bounds=BOUNDS,
            version="0",
            instance_id="i",
            clock=ManualClock(0.0),
            unix_ns=lambda: 1,
            rng=random.Random(1),
            share_seconds=0.0,
        ),
    )
    yield pipeline
    pipeline.shutdown(0.0)


def read(pipeline, name):
    """Return the samples of a name by their labels."""
    body = pipeline.exposition.respond(method="GET", accept=None, accept_encoding=None).body
    return {labels: value for (found, labels), value in read_exposition(body.decode()).items() if found == name}


def labels(**pairs):
    return tuple(sorted(pairs.items()))


def test_statements_have_system_operation_and_error(pipeline):
    for _ in range(2):
        pipeline.recorder.record(QueryFinished(operation="select", duration_seconds=0.25, database="sqlite"))
    pipeline.recorder.record(
        QueryFinished(operation="insert", duration_seconds=0.5, database="postgresql", error_type="DeadlockDetected")
    )
    select = labels(db_system_name="sqlite", db_operation_name="SELECT")
    insert = labels(db_system_name="postgresql", db_operation_name="INSERT", error_type="DeadlockDetected")
    assert read(pipeline, "db_client_operation_duration_seconds_sum") == {select: 0.5, insert: 0.5}
    assert read(pipeline, "db_client_operation_duration_seconds_count") == {select: 2, insert: 1}
    assert read(pipeline, "database_query_duration_seconds_sum") == {
        labels(operation="select"): 0.5,
        labels(operation="insert"): 0.5,
    }


def test_nothing_that_a_client_sends_becomes_a_value(pipeline):
    for number in range(50):
        request = pipeline.recorder.start_request(
            RequestReceived(
                method=f"VERB{number}", path=f"/{number}", scheme=f"s{number}", protocol_version=f"9.{number}"
            )
        )
        request.finish(RequestFinished(status_code=10_000 + number, duration_seconds=1.0, outcome="error"))
    only = {"http_request_method": "_OTHER", "url_scheme": "http"}
    assert read(pipeline, "http_server_active_requests") == {labels(**only): 0}
    assert read(pipeline, "http_server_request_duration_seconds_count") == {
        labels(**only, http_response_status_code="500", error_type="500"): 50
    }


def test_a_request_in_flight_is_active(pipeline):
    pipeline.recorder.start_request(RequestReceived(method="GET", path="/v1/models", scheme="https"))
    active = {labels(http_request_method="GET", url_scheme="https"): 1}
    assert read(pipeline, "http_server_active_requests") == active


def test_a_call_whose_client_left_counts_its_tokens_alone(pipeline):
    attempt = pipeline.recorder.start_attempt(STARTED)
    attempt.finish(
        AttemptFinished(
            status="cancelled",
            duration_seconds=3.0,
            cancel_phase="after_first_byte",
            first_token_seconds=1.0,
            usage=Usage(input_tokens=7),
        )
    )
    assert read(pipeline, "gen_ai_client_operation_duration_seconds_count") == {}
    assert read(pipeline, "http_client_request_duration_seconds_count") == {}
    assert list(read(pipeline, "gen_ai_client_token_usage_sum").values()) == [7]
    assert list(read(pipeline, "gen_ai_client_operation_time_to_first_chunk_seconds_sum").values()) == [1.0]


def test_every_family_has_the_bounded_series_and_the_exemplars_of_the_others(pipeline):
    request = pipeline.recorder.start_request(RequestReceived(method="GET", path="/v1/models"))
    request.finish(RequestFinished(status_code=200, duration_seconds=1.0, outcome="ok"))
    body = pipeline.exposition.respond(method="GET", accept="application/openmetrics-text", accept_encoding=None).body
    [line] = [
        line
        for line in body.decode().splitlines()
        if line.startswith("http_server_request_duration_seconds_bucket") and request.trace_id in line
    ]
    assert 'http_response_status_code="200"' in line
    assert "# UNIT http_server_request_duration_seconds seconds" in body.decode()
    assert all(0 < spec.series_limit <= 2_000 for spec in CONVENTIONS)
