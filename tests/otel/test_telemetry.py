"""The public door: names, context managers, OpenTelemetry objects beside the built-in families, global providers."""

import asyncio
import subprocess
import sys

import pytest

import otel
from otel import Counter, Telemetry
from otel.config.otlp import TelemetryConfigError
from tests.harness.otlp_receiver import OtlpReceiver
from tests.harness.telemetered import Console, exposition, get, make_telemetry, samples

ORDERS = Counter("shop_orders_total")


def test_every_public_name_exists_and_an_unknown_one_is_named() -> None:
    assert {name for name in otel.__all__ if getattr(otel, name) is not None} == set(otel.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'Telemetri'; public are Counter"):
        otel.Telemetri  # noqa: B018


def test_the_door_loads_no_framework_no_http_client_and_no_database() -> None:
    program = (
        "import sys, otel; otel.Telemetry.from_environ(service='s', environ={}); "
        "print({'litestar', 'starlette', 'fastapi', 'aiohttp', 'sqlalchemy', 'uvicorn', 'grpc', 'prometheus_client', "
        "'opentelemetry.exporter.prometheus', 'app'} & set(sys.modules))"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ended.stdout == "set()\n"


def test_the_events_alone_load_no_sdk() -> None:
    program = "import sys, otel.events, otel.catalogue; print('opentelemetry' in sys.modules)"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ended.stdout == "False\n"


async def test_instruments_of_the_meter_are_exposed_beside_the_families() -> None:
    telemetry = make_telemetry(metrics=[ORDERS])
    telemetry.meter.create_counter("warehouse.picks", "1", "Picks.").add(3, {"zone": "a"})
    # A library's own instrument keeps its name and its labels, though a family is made from one of the same name.
    telemetry.meter.create_histogram("http.server.request.duration", "s").record(1, {"http.route": "/x"})
    assert await samples(telemetry, "warehouse_picks") == {(("zone", "a"),): 3}
    assert (await samples(telemetry, "http_server_request_duration_count")) == {(("http_route", "/x"),): 1}
    assert await samples(telemetry, "fastapi_requests_duration_seconds_count") == {}
    telemetry.shutdown(1)


@pytest.mark.parametrize("is_async", [True, False])
def test_the_context_manager_delivers_what_was_recorded(is_async) -> None:
    with OtlpReceiver() as receiver:
        telemetry = make_telemetry(
            metrics=[ORDERS], version="1.2", environ={"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint}
        )

        def record() -> None:
            with telemetry.tracer.start_as_current_span("work"):
                telemetry.add("shop_orders_total", 2)

        async def run() -> None:
            async with telemetry:
                record()

        if is_async:
            asyncio.run(run())
        else:
            with telemetry:
                record()
        assert receiver.metric_points("shop_orders_total") == {(): 2}
        (span,) = receiver.spans
        assert (span["name"], span["scope"], span["resource"]["service.version"]) == ("work", "shop", "1.2")
        with pytest.raises(RuntimeError, match="this Telemetry has been shut down: make a new one"):
            telemetry.start()


def test_an_endpoint_that_is_down_delays_the_exit_no_longer_than_the_deadline(caplog) -> None:
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    with make_telemetry(environ=environ, deadline_seconds=0.2) as telemetry:
        telemetry.tracer.start_span("lost").end()
    assert "shutdown lost telemetry" in caplog.text


async def test_http_metrics_and_own_names_take_the_prefixes_that_are_wanted() -> None:
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    telemetry = make_telemetry(http_prefix="http", prefix="shop")
    await get(telemetry.instrument_asgi(app, route_of=lambda scope: "/x"), "/x")
    assert sum((await samples(telemetry, "http_requests_total")).values()) == 1
    text = await exposition(telemetry)
    assert "shop_telemetry_ignored_settings 0" in text
    assert "gatewayz" not in text
    summary = (await get(telemetry.metrics_app(), "/prometheus/metrics/summary")).json()
    assert summary["system"]["requests_total"] == 1
    docs = await exposition(telemetry, "/prometheus/metrics/docs")
    assert "sum(rate(http_requests_total[5m]))" in docs
    telemetry.shutdown(1)


async def test_a_request_leaves_one_span_and_one_line_with_neutral_names() -> None:
    async def app(scope, receive, send):
        with telemetry.tracer.start_as_current_span("inside"):
            raise KeyError("x")

    console = Console()
    telemetry = make_telemetry(**console.options)
    await get(telemetry.instrument_asgi(app, route_of=lambda scope: "/x"), "/x")
    exceptions = await samples(telemetry, "fastapi_exceptions_total")
    assert {dict(labels)["exception_type"]: value for labels, value in exceptions.items()} == {"KeyError": 1}
    telemetry.shutdown(1)
    (line,) = [line for line in console.lines if line["logger"] == "app.request"]
    assert (line["message"], line["exception_type"]) == ("GET /x 500", "KeyError")
    names = {span["name"]: span for span in console.spans}
    assert names["inside"]["parent_id"] == names["GET /x"]["context"]["span_id"]
    assert "gatewayz" not in console.stream.getvalue()


def test_the_global_providers_hear_instrumented_libraries() -> None:
    program = """
import json, sys
from opentelemetry import metrics, trace
from otel import Telemetry

tracer = trace.get_tracer("library.early", "0.1")
telemetry = Telemetry.from_environ(service="shop", environ={"OTEL_TRACES_EXPORTER": "console"}, install_global=True, stdout=sys.stdout)
tracer.start_span("early").end()
trace.get_tracer("library.late").start_span("late").end()
metrics.get_meter("library").create_counter("library.calls").add(2)
body = telemetry._pipeline.exposition.respond(method="GET", accept=None, accept_encoding=None).body.decode()
telemetry.shutdown(1)
assert "library_calls 2" in body, body
try:
    Telemetry.from_environ(service="shop", environ={}, install_global=True)
except RuntimeError as error:
    print(json.dumps({"error": str(error)}))
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert '"name": "early"' in ended.stdout
    assert '"name": "late"' in ended.stdout
    assert "has a global tracer provider already" in ended.stdout


def test_grpc_without_its_packages_says_what_to_install(monkeypatch) -> None:
    monkeypatch.delitem(sys.modules, "otel.delivery.transport.grpc", raising=False)
    monkeypatch.setitem(sys.modules, "grpc", None)
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
    with pytest.raises(TelemetryConfigError, match="pip install grpcio googleapis-common-protos, or set http/protobuf"):
        make_telemetry(environ=environ)


def test_a_setting_that_cannot_be_used_is_logged(caplog) -> None:
    Telemetry.from_environ(service="shop", environ={"OTEL_TRACES_SAMPLER": "sometimes"}).shutdown(1)
    assert "OTEL_TRACES_SAMPLER" in caplog.text


@pytest.mark.parametrize(
    ("options", "exported"),
    [
        ({}, ["GET /broken"]),
        ({"export_failed_traces": False}, []),
        ({"export_slower_than_seconds": 1e-9}, ["GET /broken", "GET /"]),
    ],
)
async def test_a_failed_or_slow_request_of_an_unsampled_caller_leaves_its_trace(options, exported):
    async def app(scope, receive, send):
        status = 500 if scope["path"] == "/broken" else 200
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body"})

    console = Console()
    telemetry = make_telemetry(**console.options, **options)
    measured = telemetry.instrument_asgi(app, route_of=lambda scope: scope["path"])
    with telemetry:
        for path in ("/broken", "/"):
            await get(measured, path, headers={"traceparent": f"00-{1:032x}-{2:016x}-00"})
    assert [span["name"] for span in console.spans] == exported


async def test_conventions_are_exposed_beside_the_families_of_an_application() -> None:
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 404 if scope["path"] == "/x" else 500, "headers": []})
        await send({"type": "http.response.body"})

    telemetry = make_telemetry(
        llm={"openai": ["gpt"]},
        conventions=["http"],
        environ={"OTEL_SEMCONV_STABILITY_OPT_IN": "gen_ai_latest_experimental"},
    )
    measured = telemetry.instrument_asgi(
        app, route_of=lambda scope: "unmatched" if scope["path"] == "/x" else "/orders/{id}"
    )
    await get(measured, "/x")
    await get(measured, "/orders/7")
    with telemetry.llm.call("openai", "gpt", server_address="api.openai.com") as call:
        call.usage(7, 5)
    request = {"http_request_method": "GET", "url_scheme": "http", "network_protocol_version": "1.1"}
    failed = {**request, "http_route": "/orders/{id}", "http_response_status_code": "500", "error_type": "500"}
    assert await samples(telemetry, "http_server_request_duration_seconds_count") == {
        tuple(sorted({**request, "http_response_status_code": "404"}.items())): 1,
        tuple(sorted(failed.items())): 1,
    }
    operation = {
        "gen_ai_operation_name": "chat",
        "gen_ai_provider_name": "openai",
        "gen_ai_request_model": "gpt",
        "server_address": "api.openai.com",
        "server_port": "443",
    }
    assert await samples(telemetry, "gen_ai_client_token_usage_sum") == {
        tuple(sorted({**operation, "gen_ai_token_type": token_type}.items())): tokens
        for token_type, tokens in (("input", 7), ("output", 5))
    }
    assert "http_client_request" not in await exposition(telemetry)
    telemetry.shutdown(1)


def test_a_convention_that_is_not_known_is_named() -> None:
    with pytest.raises(TelemetryConfigError, match="'grpc' is none of http, database, gen_ai_latest_experimental"):
        make_telemetry(conventions=["grpc"])
