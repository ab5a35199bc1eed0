"""`console` exporters write spans and metrics to stdout, one JSON object a line, and the level of the log lines is `OTEL_LOG_LEVEL`."""

import io
import json
import logging
import random
import time

import pytest

from otel.config.environ import telemetry_config_from_environ
from otel.events import RequestFinished, RequestReceived
from otel.labels import LabelBounds
from otel.pipeline import PipelineSettings, build_pipeline

BOUNDS = LabelBounds.from_routes("gw", (("p1", "m1"),), paths=frozenset({"/v1/models"}))


def run(environ: dict[str, str]) -> list[dict]:
    """Serve one request, log on two levels, shut down; return what is on stdout."""
    stdout = io.StringIO()
    telemetry = build_pipeline(
        telemetry_config_from_environ(environ),
        PipelineSettings(
            bounds=BOUNDS, version="1", instance_id="i", clock=time.monotonic, unix_ns=time.time_ns,
            rng=random.Random(1), stdout=stdout,
        ),
    )  # fmt: skip
    telemetry.start()
    request = telemetry.recorder.start_request(RequestReceived(method="GET", path="/v1/models"))
    request.finish(RequestFinished(status_code=200, duration_seconds=0.3, outcome="ok"))
    logger = logging.Logger("library")
    logger.addHandler(telemetry.log_handler)
    logger.debug("small")
    logger.warning("large")
    telemetry.shutdown(5)
    return [json.loads(line) for line in stdout.getvalue().splitlines()]


def messages(lines: list[dict]) -> list[str]:
    return [line["message"] for line in lines if "message" in line]


def test_spans_are_written_when_they_end() -> None:
    [span] = [line for line in run({"OTEL_TRACES_EXPORTER": "console"}) if "context" in line]
    assert span["name"] == "GET /v1/models"
    assert span["attributes"]["http.response.status_code"] == 200


def test_metrics_are_written_at_the_latest_at_the_end() -> None:
    lines = run({"OTEL_METRICS_EXPORTER": "console"})
    metrics = [line for line in lines if "resource_metrics" in line]
    assert len(metrics) == 1
    assert "fastapi_requests_total" in json.dumps(metrics[0])
    assert "GET /v1/models" in messages(lines)[0]


def test_nothing_of_it_is_written_by_default() -> None:
    assert all("message" in line for line in run({}))


@pytest.mark.parametrize(
    ("level", "written"),
    [("debug", {"small", "large"}), ("info", {"large"}), ("ERROR", set()), ("none", set()), ("loud", {"large"})],
)
def test_the_level_of_lines_on_stdout(level: str, written: set[str]) -> None:
    assert set(messages(run({"OTEL_LOG_LEVEL": level}))) & {"small", "large"} == written
