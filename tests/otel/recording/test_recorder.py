"""An event becomes measurements, span ends and one log line that agree; a failure in recording reaches no caller."""

import json
import time

import pytest
from opentelemetry import trace
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import DEFAULT_ON
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from otel.catalogue import CATALOGUE, semconv
from otel.events import (
    AnomalyBegan,
    AttemptFinished,
    AttemptStarted,
    CacheLookedUp,
    CallerIdentified,
    CallFinished,
    ExceptionMapped,
    QueryFinished,
    RateLimited,
    RequestFinished,
    RequestReceived,
)
from otel.events.usage import Usage
from otel.labels import LabelBounds
from otel.logs.fast_logger import FastLogger
from otel.logs.writer import LogWriter
from otel.metrics.instruments import Instruments
from otel.metrics.measurements import Measurements
from otel.metrics.views import build_views
from otel.recording.guard import Guard
from otel.recording.recorder import TelemetryRecorder
from otel.traces.fast_tracer import FastTracer
from otel.traces.span_parts import SpanOrigin
from otel.traces.spans import SpanWriter

BOUNDS = LabelBounds.from_routes(
    "gw",
    (("openrouter", "a/b"), ("vllm", "a/b")),
    paths=frozenset({"/v1/chat/completions"}),
    exception_types=frozenset(),
)
USAGE = Usage(input_tokens=100, output_tokens=11, cost_nanousd=1_500_000_000, credits_nanousd=3_000_000_000)
STARTED = AttemptStarted(
    provider="openrouter",
    model="a/b",
    upstream_model="x/y",
    operation="chat",
    stream=True,
    number=1,
    server_address="127.0.0.1",
    server_port=9,
)
SUCCESS = AttemptFinished(
    status="success",
    duration_seconds=3.0,
    http_status=200,
    response_seconds=0.5,
    first_token_seconds=1.0,
    usage=USAGE,
    response_id="r1",
    response_model="x/y-2026",
    finish_reason="stop",
)


class Signals:
    """A recorder with the fast tracer and logger, or with the SDK's, and the signals that it produced."""

    def __init__(self, *, fast: bool = True) -> None:
        self.reader = InMemoryMetricReader()
        self.spans = InMemorySpanExporter()
        self.lines: list[str] = []
        self.log_records = InMemoryLogRecordExporter()
        meters = MeterProvider([self.reader], views=build_views(CATALOGUE), shutdown_on_exit=False)
        on_end = SimpleSpanProcessor(self.spans)
        tracers = TracerProvider(shutdown_on_exit=False)
        tracers.add_span_processor(on_end)
        loggers = LoggerProvider(shutdown_on_exit=False)
        loggers.add_log_record_processor(SimpleLogRecordProcessor(self.log_records))
        resource, scope = Resource.create({}), InstrumentationScope("test")
        origin = SpanOrigin(resource, scope, SpanLimits(), time.time_ns, on_end.on_end)
        sdk_logger = loggers.get_logger("test")
        fast_logger = FastLogger(sdk_logger, resource, scope, lambda record: self.log_records.export([record]))
        self.guard = Guard()
        self.measurements = Measurements(Instruments(meters.get_meter("test"), CATALOGUE), BOUNDS)
        self.recorder = TelemetryRecorder(
            self.measurements,
            SpanWriter(
                FastTracer(origin, DEFAULT_ON, RandomIdGenerator()) if fast else tracers.get_tracer("test"), BOUNDS
            ),
            LogWriter(fast_logger if fast else sdk_logger, self.lines.append, lambda: 1_700_000_000_000_000_000),
            BOUNDS,
            self.guard,
        )

    def request(self, path="/v1/chat/completions", headers=None):
        return self.recorder.start_request(RequestReceived(method="POST", path=path, headers=headers or {}))

    def points(self) -> dict:
        """{(family, labels as sorted text): value, or (count, sum) of a histogram}."""
        data = self.reader.get_metrics_data()
        found = {}
        for metric in data.resource_metrics[0].scope_metrics[0].metrics if data else ():
            for point in metric.data.data_points:
                labels = ",".join(
                    f"{key}={value}" for key, value in sorted(point.attributes.items()) if key != "app_name"
                )
                found[metric.name, labels] = point.value if hasattr(point, "value") else (point.count, point.sum)
        return found

    def exemplar_traces(self, family: str) -> set[str]:
        data = self.reader.get_metrics_data()
        return {
            f"{exemplar.trace_id:032x}"
            for metric in data.resource_metrics[0].scope_metrics[0].metrics
            if metric.name == family
            for point in metric.data.data_points
            for exemplar in point.exemplars
        }


@pytest.fixture(params=["fast", "sdk"])
def signals(request: pytest.FixtureRequest) -> Signals:
    return Signals(fast=request.param == "fast")


def finish(request, status_code=200, outcome="ok") -> None:
    request.finish(RequestFinished(status_code=status_code, duration_seconds=4.0, outcome=outcome, response_bytes=7))


def test_a_successful_stream_updates_exactly_its_series(signals: Signals) -> None:
    request = signals.request()
    request.record(CallerIdentified(key_id="key_1", plan="pro"))
    request.start_attempt(STARTED).finish(SUCCESS)
    request.record(
        CallFinished(
            operation="chat",
            model="a/b",
            provider="openrouter",
            status="success",
            stream=True,
            attempts=1,
            duration_seconds=3.0,
            usage=USAGE,
        )
    )
    finish(request)
    route = "model=a/b,provider=openrouter"
    http = "method=POST,path=/v1/chat/completions"
    assert signals.points() == {
        ("fastapi_requests_in_progress", http): 0,
        ("fastapi_requests_total", f"{http},status_code=200"): 1,
        ("fastapi_responses_total", f"{http},status_code=200"): 1,
        ("fastapi_requests_duration_seconds", http): (1, 4.0),
        ("provider_response_time_seconds", "provider=openrouter"): (1, 0.5),
        ("model_inference_requests_total", f"{route},status=success"): 1,
        ("model_inference_duration_seconds", route): (1, 3.0),
        ("gatewayz_time_to_first_token_seconds", route): (1, 1.0),
        ("gatewayz_output_tokens_per_second", route): (1, 5.0),
        ("tokens_used_total", f"{route},token_type=input"): 100,
        ("tokens_used_total", f"{route},token_type=output"): 11,
        ("credits_used_total", route): 3.0,
        ("gatewayz_cost_by_provider", "provider=openrouter"): 1.5,
        ("gatewayz_cost_usd_total", f"cost_source=priced,{route}"): 1.5,
        ("gatewayz_attempts_per_request", "model=a/b"): (1, 1),
    }


def test_spans_log_line_and_exemplars_share_one_trace(signals: Signals) -> None:
    parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    request = signals.request(headers={"traceparent": parent, "tracestate": "vendor=1"})
    attempt = request.start_attempt(STARTED)
    assert attempt.headers["traceparent"].startswith("00-4bf92f3577b34da6a3ce929d0e0e4736-")
    assert attempt.headers["tracestate"] == "vendor=1"
    attempt.finish(SUCCESS)
    finish(request)
    client, server = signals.spans.get_finished_spans()
    assert (server.name, server.kind) == ("POST /v1/chat/completions", trace.SpanKind.SERVER)
    assert (client.name, client.kind) == ("chat a/b", trace.SpanKind.CLIENT)
    assert client.parent.span_id == server.context.span_id
    assert f"{server.parent.span_id:016x}" == "00f067aa0ba902b7"
    assert attempt.headers["traceparent"].split("-")[2] == f"{client.context.span_id:016x}"
    assert dict(client.attributes) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openrouter",
        "gen_ai.request.model": "a/b",
        "gen_ai.request.stream": True,
        "gatewayz.upstream_model": "x/y",
        "gatewayz.attempt.number": 1,
        "gatewayz.attempt.status": "success",
        "peer.service": "openrouter",
        "server.address": "127.0.0.1",
        "server.port": 9,
        "http.response.status_code": 200,
        "gen_ai.response.id": "r1",
        "gen_ai.response.model": "x/y-2026",
        "gen_ai.response.time_to_first_chunk": 1.0,
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": 100,
        "gen_ai.usage.output_tokens": 11,
        "gatewayz.usage.estimated": False,
        "gatewayz.cost_usd": 1.5,
    }
    line = json.loads(signals.lines[0])
    assert line["trace_id"] == request.trace_id == "4bf92f3577b34da6a3ce929d0e0e4736"
    assert line["span_id"] == f"{server.context.span_id:016x}"
    (record,) = signals.log_records.get_finished_logs()
    assert record.log_record.span_id == server.context.span_id
    for family in (
        "fastapi_requests_duration_seconds",
        "provider_response_time_seconds",
        "model_inference_duration_seconds",
    ):
        assert signals.exemplar_traces(family) <= {request.trace_id}


def test_exemplars_point_to_the_trace(signals: Signals) -> None:
    request = signals.request()
    finish(request)
    assert signals.exemplar_traces("fastapi_requests_duration_seconds") == {request.trace_id}


def test_the_request_line_holds_caller_model_and_usage(signals: Signals) -> None:
    request = signals.request()
    request.record(CallerIdentified(key_id="key_1", plan="pro"))
    request.record(
        CallFinished(
            operation="chat",
            model="a/b",
            provider="vllm",
            status="success",
            stream=False,
            attempts=2,
            duration_seconds=3.0,
            usage=USAGE,
        )
    )
    finish(request)
    line = json.loads(signals.lines[0])
    expected = {
        "level": "info",
        "logger": "gatewayz.request",
        "message": "POST /v1/chat/completions 200",
        "method": "POST",
        "path": "/v1/chat/completions",
        "status": 200,
        "outcome": "ok",
        "duration_ms": 4000.0,
        "response_bytes": 7,
        "key_id": "key_1",
        "plan": "pro",
        "operation": "chat",
        "model": "a/b",
        "provider": "vllm",
        "call_status": "success",
        "stream": False,
        "cached": False,
        "attempts": 2,
        "input_tokens": 100,
        "output_tokens": 11,
        "cost_usd": 1.5,
    }
    assert {key: line[key] for key in expected} == expected
    assert set(line) - set(expected) == {"timestamp", "trace_id", "span_id"}


@pytest.mark.parametrize(
    ("status_code", "outcome", "level"),
    [
        (200, "ok", "info"),
        (404, "ok", "warning"),
        (429, "ok", "warning"),
        (499, "cancelled", "info"),
        (502, "ok", "error"),
        (200, "error", "error"),
    ],
)
def test_the_lines_level_follows_the_outcome(signals: Signals, status_code: int, outcome: str, level: str) -> None:
    finish(signals.request(), status_code, outcome)
    assert json.loads(signals.lines[0])["level"] == level


def test_a_failed_attempt_counts_as_error_with_its_span_in_error(signals: Signals) -> None:
    request = signals.request()
    request.start_attempt(STARTED).finish(
        AttemptFinished(
            status="error",
            duration_seconds=2.0,
            error_kind="first_byte_timeout",
            fault="provider",
            response_seconds=2.0,
        )
    )
    request.record(ExceptionMapped(exception_type="UnlistedError"))
    finish(request, 504)
    points = signals.points()
    assert points["model_inference_requests_total", "model=a/b,provider=openrouter,status=error"] == 1
    assert points["provider_response_time_seconds", "provider=openrouter"] == (1, 2.0)
    assert not [name for name, _ in points if name == "model_inference_duration_seconds"]
    assert points["fastapi_exceptions_total", "exception_type=other,method=POST,path=/v1/chat/completions"] == 1
    route = "model=a/b,provider=openrouter"
    assert points["gatewayz_attempt_failures_total", f"error_kind=first_byte_timeout,{route}"] == 1
    assert points["gatewayz_failed_attempt_duration_seconds", f"fault=provider,{route}"] == (1, 2.0)
    client, server = signals.spans.get_finished_spans()
    assert (client.status.status_code, client.attributes["error.type"], client.attributes["gatewayz.fault"]) == (
        trace.StatusCode.ERROR,
        "first_byte_timeout",
        "provider",
    )
    assert (server.status.status_code, server.attributes["error.type"]) == (trace.StatusCode.ERROR, "other")


def test_an_unlisted_kind_of_failure_is_other(signals: Signals) -> None:
    signals.request().start_attempt(STARTED).finish(
        AttemptFinished(status="error", duration_seconds=2.0, error_kind="prompt: ignore all")  # type: ignore[arg-type]
    )
    points, route = signals.points(), "model=a/b,provider=openrouter"
    assert points["gatewayz_attempt_failures_total", f"error_kind=other,{route}"] == 1
    assert points["gatewayz_failed_attempt_duration_seconds", f"fault=other,{route}"] == (1, 2.0)


KINDS = len(semconv.ERROR_KINDS)
MOST_MODELS = 1_000 // KINDS
"""With one more there were more than a thousand series."""


@pytest.mark.parametrize(("models", "series"), [(MOST_MODELS, MOST_MODELS * KINDS), (MOST_MODELS + 1, 0)])
def test_kinds_of_failures_start_at_zero_up_to_a_bound(models: int, series: int) -> None:
    reader = InMemoryMetricReader()
    meters = MeterProvider([reader], views=build_views(CATALOGUE), shutdown_on_exit=False)
    bounds = LabelBounds.from_routes("gw", tuple(("p", f"m{number}") for number in range(models)))
    families = tuple(spec for spec in CATALOGUE if spec.name == "gatewayz_attempt_failures_total")
    Measurements(Instruments(meters.get_meter("test"), CATALOGUE), bounds).start_at_zero(families)
    data = reader.get_metrics_data()
    metrics = data.resource_metrics[0].scope_metrics[0].metrics if data else ()
    assert [point.value for metric in metrics for point in metric.data.data_points] == [0] * series


def test_a_cancelled_call_is_neither_success_nor_error(signals: Signals) -> None:
    request = signals.request()
    request.start_attempt(STARTED).finish(
        AttemptFinished(
            status="cancelled", duration_seconds=2.0, cancel_phase="after_first_byte", response_seconds=0.1, usage=USAGE
        )
    )
    request.record(
        CallFinished(
            operation="chat",
            model="a/b",
            provider="openrouter",
            status="cancelled",
            stream=True,
            attempts=1,
            duration_seconds=2.0,
            cancel_phase="after_first_byte",
        )
    )
    finish(request, 200, "cancelled")
    points = signals.points()
    assert not [name for name, _ in points if name == "model_inference_requests_total"]
    assert points["gatewayz_cancelled_calls_total", "model=a/b,phase=after_first_byte,provider=openrouter"] == 1
    assert points["tokens_used_total", "model=a/b,provider=openrouter,token_type=input"] == 100


def test_a_call_whose_client_left_before_a_provider_was_asked_is_of_the_provider_other(signals: Signals) -> None:
    request = signals.request()
    request.record(
        CallFinished(
            operation="chat",
            model="a/b",
            provider=None,
            status="cancelled",
            stream=True,
            attempts=0,
            duration_seconds=0.1,
            cancel_phase="before_first_byte",
        )
    )
    finish(request, 499, "cancelled")
    points = signals.points()
    assert points["gatewayz_cancelled_calls_total", "model=a/b,phase=before_first_byte,provider=other"] == 1


def test_events_outside_a_request(signals: Signals) -> None:
    signals.recorder.record(QueryFinished(operation="select", duration_seconds=0.002))
    signals.recorder.record(CacheLookedUp(cache="api_key", hit=True))
    signals.recorder.record(CacheLookedUp(cache="response", hit=False))
    signals.recorder.record(RateLimited(limit_type="key_tokens"))
    assert signals.points() == {
        ("database_query_duration_seconds", "operation=select"): (1, 0.002),
        ("cache_hits_total", "cache=api_key"): 1,
        ("cache_misses_total", "cache=response"): 1,
        ("rate_limited_requests", "limit_type=key_tokens"): 1,
    }


def test_ends_count_once(signals: Signals) -> None:
    request = signals.request()
    attempt = request.start_attempt(STARTED)
    for _ in range(2):
        attempt.finish(SUCCESS)
        finish(request)
    points = signals.points()
    assert points["model_inference_requests_total", "model=a/b,provider=openrouter,status=success"] == 1
    assert points["fastapi_requests_in_progress", "method=POST,path=/v1/chat/completions"] == 0
    assert len(signals.lines) == 1
    assert len(signals.spans.get_finished_spans()) == 2


def test_unknown_names_never_become_series_or_span_names(signals: Signals) -> None:
    request = signals.request(path="/wp-admin/../../etc/passwd")
    finish(request, 404)
    assert signals.spans.get_finished_spans()[0].name == "POST unmatched"
    assert ("fastapi_requests_total", "method=POST,path=unmatched,status_code=404") in signals.points()


@pytest.mark.parametrize(
    "traceparent", ["", "00-zz-00-01", "00-" + "0" * 32 + "-" + "0" * 16 + "-01", "ff" * 500, "00-ab"]
)
def test_a_malformed_traceparent_starts_a_new_trace(signals: Signals, traceparent: str) -> None:
    request = signals.request(headers={"traceparent": traceparent})
    finish(request)
    assert len(request.trace_id) == 32
    assert request.trace_id != "0" * 32
    assert signals.spans.get_finished_spans()[0].parent is None


def test_library_lines_inside_a_request_carry_its_trace(signals: Signals) -> None:
    request = signals.request()
    with request.current():
        signals.recorder.logs.emit("info", "aiohttp", "hello", {})
    signals.recorder.logs.emit("info", "aiohttp", "outside", {})
    inside, outside = map(json.loads, signals.lines)
    assert inside["trace_id"] == request.trace_id
    assert "trace_id" not in outside


def test_a_failure_in_recording_is_counted_and_the_other_steps_still_run(signals: Signals, monkeypatch, caplog) -> None:
    def fail(*_args, **_kwargs):
        raise RuntimeError("broken exporter")

    monkeypatch.setattr(signals.recorder.spans, "end_request", fail)
    monkeypatch.setattr(signals.measurements, "attempt_finished", fail)
    request = signals.request()
    request.start_attempt(STARTED).finish(SUCCESS)
    finish(request)
    # It belongs to a request: here it is a counted failure, not an exception.
    signals.recorder.record(ExceptionMapped(exception_type="KeyError"))
    assert signals.guard.failures == 3
    assert len([record for record in caplog.records if record.name == "otel.recorder"]) == 1
    assert len(signals.lines) == 1
    assert signals.points()["fastapi_requests_total", "method=POST,path=/v1/chat/completions,status_code=200"] == 1


def test_an_anomaly_is_one_count_one_span_with_its_event_and_one_warning_with_the_numbers(signals: Signals) -> None:
    signals.recorder.record(
        AnomalyBegan(
            type="latency_spike",
            scope="provider",
            name="openrouter",
            signal="slowdown",
            value=3.14159265,
            baseline=1.01,
            spread=1.2,
            threshold=1.75,
            samples=120,
            window_minutes=3,
            also=("model:a/b", "model:secret", "gateway:all"),
        )
    )
    numbers = {
        "type": "latency_spike",
        "scope": "provider",
        "provider": "openrouter",
        "signal": "slowdown",
        "value": 3.142,
        "baseline": 1.01,
        "spread": 1.2,
        "threshold": 1.75,
        "samples": 120,
        "window_minutes": 3,
        "also": "model:a/b model:other gateway:all",
    }
    exemplars = signals.exemplar_traces("gatewayz_detected_anomalies")
    assert signals.points() == {("gatewayz_detected_anomalies", "type=latency_spike"): 1}
    (span,) = signals.spans.get_finished_spans()
    (event,) = span.events
    assert (span.name, event.name) == ("anomaly evaluation", "gatewayz.anomaly")
    assert dict(event.attributes) == {f"gatewayz.anomaly.{key}": value for key, value in numbers.items()}
    (line,) = map(json.loads, signals.lines)
    assert {key: line[key] for key in numbers} == numbers
    assert (line["level"], line["logger"]) == ("warning", "gatewayz.anomaly")
    assert line["message"] == "latency_spike of provider openrouter: slowdown 3.142, usually 1.01"
    assert line["trace_id"] == f"{span.context.trace_id:032x}"
    assert exemplars == {line["trace_id"]}
    assert signals.guard.failures == 0


def failed_call(**fields) -> CallFinished:
    return CallFinished(
        operation="chat", model="a/b", provider="vllm", stream=True, attempts=1, duration_seconds=1.0, **fields
    )


@pytest.mark.parametrize(
    ("status_code", "ended", "call", "outcome"),
    [
        (200, "ok", None, "ok"),
        (204, "ok", None, "ok"),
        (400, "ok", None, "refused"),
        (401, "ok", None, "refused"),
        (429, "ok", None, "refused"),
        (400, "ok", {"status": "error", "error_kind": "upstream_4xx"}, "refused"),
        (499, "cancelled", None, "cancelled"),
        (200, "cancelled", {"status": "cancelled"}, "cancelled"),
        (500, "error", None, "error"),
        (502, "ok", {"status": "error", "error_kind": "connect_error"}, "error"),
        (503, "error", None, "error"),
        (504, "ok", None, "error"),
        (502, "cancelled", None, "error"),
        # The status was sent before the stream broke.
        (200, "ok", {"status": "error", "error_kind": "stream_broken"}, "error"),
        (200, "error", None, "error"),
    ],
)
def test_the_line_and_the_span_agree_on_the_outcome(signals: Signals, status_code, ended, call, outcome) -> None:
    request = signals.request()
    if call is not None:
        request.record(failed_call(**call))
    finish(request, status_code, ended)
    line = json.loads(signals.lines[0])
    (span,) = signals.spans.get_finished_spans()
    assert line["outcome"] == outcome
    assert line["level"] == {"error": "error", "refused": "warning"}.get(outcome, "info")
    assert (span.status.status_code is trace.StatusCode.ERROR) == (outcome == "error")
    assert ("error.type" in span.attributes) == (outcome == "error")


def test_the_error_type_is_the_most_specific_one_known(signals: Signals) -> None:
    broken, mapped, bare = (signals.request() for _ in range(3))
    broken.record(failed_call(status="error", error_kind="stream_broken"))
    mapped.record(failed_call(status="error", error_kind="connect_error"))
    mapped.record(ExceptionMapped(exception_type="UpstreamError"))
    finish(broken, 200, "ok")
    finish(mapped, 502, "error")
    finish(bare, 503, "error")
    types = [span.attributes["error.type"] for span in signals.spans.get_finished_spans()]
    assert [types[0], types[2]] == ["stream_broken", "503"]
    assert types[1] not in {"connect_error", "502"}
