"""Metrics under the names of the semantic conventions, over HTTP: absent without an opt-in, equal to the documented ones with it."""

import json
from collections import defaultdict

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from otel.catalogue.conventions import CONVENTIONS, OPT_INS
from tests.app.gateway.traced_gateway import pushed_telemetry
from tests.harness.exposition import read_exposition
from tests.harness.otlp_receiver import OtlpReceiver

pytestmark = pytest.mark.live
OPT_IN = {"OTEL_SEMCONV_STABILITY_OPT_IN": "HTTP, gen_ai_latest_experimental"}


def chat(**fields):
    return json.dumps({"model": "acme/tiny", "messages": [{"role": "user", "content": "x"}], **fields}).encode()


def scrape(telemetry):
    body = telemetry.exposition.respond(method="GET", accept=None, accept_encoding=None).body
    return read_exposition(body.decode())


def of(samples, name):
    """Return the samples of one name by their labels."""
    return {labels: value for (found, labels), value in samples.items() if found == name}


def total(samples, name, **where):
    """Return the sum over the series with these labels; an empty value is an absent label."""
    return sum(
        value
        for labels, value in of(samples, name).items()
        if all(dict(labels).get(key, "") == wanted for key, wanted in where.items())
    )


async def drive(make_upstream, make_gateway, telemetry):
    """Send requests of every kind; return the upstream's port."""

    async def by_turns(exchange):
        if b"fail" in exchange.body:
            await exchange.reply({"error": {"message": "overloaded"}}, status=500)
        else:
            await gateway_response(exchange)

    upstream = await make_upstream()
    gateway_response = upstream.script
    upstream.script = by_turns
    gateway = await make_gateway(upstream, recorder=telemetry.recorder)
    for _ in range(3):
        assert (await gateway.post("/v1/chat/completions", chat())).status == 200
    for _ in range(2):
        assert (await gateway.post("/v1/chat/completions", chat(stream=True))).status == 200
    embed = json.dumps({"model": "acme/embed", "input": "x"}).encode()
    assert (await gateway.post("/v1/embeddings", embed)).status == 200
    assert (await gateway.post("/v1/chat/completions", chat(user="fail"))).status == 502
    assert (await gateway.post("/v1/chat/completions", b"{")).status == 400
    assert (await gateway.post("/nowhere", b"")).status == 404
    return upstream.port


@pytest.mark.parametrize("environ", [{}, {"OTEL_SEMCONV_STABILITY_OPT_IN": "messaging,what,database"}])
async def test_without_an_opt_in_there_is_no_series_of_a_convention(make_upstream, make_gateway, environ):
    with OtlpReceiver() as receiver:
        async with pushed_telemetry(receiver, environ) as telemetry:
            await drive(make_upstream, make_gateway, telemetry)
            names = {name for name, _ in scrape(telemetry)}
        pushed = set(receiver.metrics)
    assert not [name for name in names if name.startswith(("http_", "gen_ai_", "db_"))]
    assert not [name for name in pushed if "." in name]


async def test_with_it_each_value_is_that_of_the_documented_family(make_upstream, make_gateway):
    with OtlpReceiver() as receiver:
        async with pushed_telemetry(receiver, OPT_IN) as telemetry:
            port = str(await drive(make_upstream, make_gateway, telemetry))
            samples = scrape(telemetry)
    server = "http_server_request_duration_seconds"
    by_request = defaultdict(float)
    for labels, value in of(samples, f"{server}_count").items():
        found = dict(labels)
        assert (found["url_scheme"], found["network_protocol_version"]) == ("http", "1.1")
        key = (found["http_request_method"], found.get("http_route", "unmatched"), found["http_response_status_code"])
        by_request[key] += value
        assert ("error_type" in found) is (key[2] >= "500")
    documented = {
        (dict(labels)["method"], dict(labels)["path"], dict(labels)["status_code"]): value
        for labels, value in of(samples, "fastapi_requests_total").items()
    }
    assert by_request == documented
    assert len(documented) == 5
    assert total(samples, f"{server}_sum") == pytest.approx(total(samples, "fastapi_requests_duration_seconds_sum"))
    active = of(samples, "http_server_active_requests")
    assert active == {(("http_request_method", "POST"), ("url_scheme", "http")): 0}
    assert total(samples, "fastapi_requests_in_progress") == 0

    operation = "gen_ai_client_operation_duration_seconds"
    for model, name in (("acme/tiny", "chat"), ("acme/embed", "embeddings")):
        labels = {
            "gen_ai_provider_name": "alpha",
            "gen_ai_request_model": model,
            "gen_ai_operation_name": name,
            "server_address": "127.0.0.1",
            "server_port": port,
        }
        ours = {"provider": "alpha", "model": model}
        for status, error_type in (("success", ""), ("error", "upstream_5xx")):
            count = total(samples, f"{operation}_count", error_type=error_type, **labels)
            assert count == total(samples, "model_inference_requests_total", status=status, **ours)
        assert total(samples, f"{operation}_sum", error_type="", **labels) == pytest.approx(
            total(samples, "model_inference_duration_seconds_sum", **ours)
        )
        for token_type in ("input", "output"):
            tokens = total(samples, "gen_ai_client_token_usage_sum", gen_ai_token_type=token_type, **labels)
            assert tokens == total(samples, "tokens_used_total", token_type=token_type, **ours)
        first = "gen_ai_client_operation_time_to_first_chunk_seconds"
        for suffix in ("count", "sum"):
            assert total(samples, f"{first}_{suffix}", **labels) == pytest.approx(
                total(samples, f"gatewayz_time_to_first_token_seconds_{suffix}", **ours)
            )
    assert total(samples, f"{operation}_count") == total(samples, "model_inference_requests_total")
    assert total(samples, "gen_ai_client_token_usage_sum") == total(samples, "tokens_used_total") > 0
    client = {
        (labels.get("http_response_status_code"), labels.get("error_type"), labels["server_port"]): value
        for labels, value in (
            (dict(labels), value) for labels, value in of(samples, "http_client_request_duration_seconds_count").items()
        )
    }
    failed = total(samples, "model_inference_requests_total", status="error")
    succeeded = total(samples, "model_inference_requests_total", status="success")
    assert client == {("200", None, port): succeeded, ("500", "upstream_5xx", port): failed}


async def test_otlp_has_the_conventions_names_units_types_and_buckets(make_upstream, make_gateway):
    with OtlpReceiver() as receiver:
        async with pushed_telemetry(receiver, OPT_IN) as telemetry:
            await drive(make_upstream, make_gateway, telemetry)
        bodies = [each.body for each in receiver.requests if each.signal == "metrics"]
    pushed = ExportMetricsServiceRequest.FromString(bodies[-1])
    scopes = {scope.scope.name: scope for group in pushed.resource_metrics for scope in group.scope_metrics}
    of_conventions = scopes["gatewayz.conventions"]
    assert of_conventions.schema_url == "https://opentelemetry.io/schemas/1.44.0"
    metrics = {metric.name: metric for metric in of_conventions.metrics}
    wanted = {spec.instrument: spec for spec in CONVENTIONS if spec.convention != "database"}
    assert set(metrics) == set(wanted)
    assert all(metric.unit == wanted[name].unit for name, metric in metrics.items())
    durations = metrics["http.server.request.duration"].histogram.data_points
    assert tuple(durations[0].explicit_bounds)[-3:] == (5.0, 7.5, 10.0)
    values = {pair.key: pair.value for point in durations for pair in point.attributes}
    assert values["http.response.status_code"].WhichOneof("value") == "int_value"
    assert values["http.request.method"].string_value == "POST"
    tokens = metrics["gen_ai.client.token.usage"].histogram.data_points
    assert tuple(tokens[0].explicit_bounds) == tuple(4**exponent for exponent in range(14))
    assert not metrics["http.server.active_requests"].sum.is_monotonic
    others = {
        metric.name for name, scope in scopes.items() if name != "gatewayz.conventions" for metric in scope.metrics
    }
    assert not [name for name in others if "." in name]


async def test_spans_have_the_attributes_of_the_conventions(make_upstream, make_gateway, wire):
    usage = {
        "prompt_tokens": 10,
        "completion_tokens": 4,
        "prompt_tokens_details": {"cached_tokens": 6},
        "completion_tokens_details": {"reasoning_tokens": 3},
    }

    async def script(exchange):
        if b"fail" in exchange.body:
            await exchange.reply({"error": {"message": "overloaded"}}, status=500)
        else:
            await exchange.reply({**wire.completion, "usage": usage})

    upstream = await make_upstream(script)
    with OtlpReceiver() as receiver:
        async with pushed_telemetry(receiver) as telemetry:
            gateway = await make_gateway(upstream, recorder=telemetry.recorder)
            for body, status in ((chat(), 200), (chat(user="fail"), 502)):
                assert (await gateway.post("/v1/chat/completions", body)).status == status
            assert (await gateway.post("/nowhere?key=value", b"")).status == 404
            async with gateway.session.get("/v1/models/acme%2Ftiny") as response:
                assert response.status == 200
        spans = receiver.spans

    def found(kind, **wanted):
        [only] = [
            span["attributes"]
            for span in spans
            if span["kind"] == kind and wanted.items() <= span["attributes"].items()
        ]
        return {key: value for key, value in only.items() if not key.startswith("gatewayz.")}

    request = {"url.scheme": "http", "network.protocol.version": "1.1"}
    chats = {
        **request,
        "http.request.method": "POST",
        "http.route": "/v1/chat/completions",
        "url.path": "/v1/chat/completions",
    }
    sizes = "http.response.body.size"
    for status, error in ((200, {}), (502, {"error.type": "other"})):
        span = found("SERVER", **{"http.response.status_code": status, "http.route": "/v1/chat/completions"})
        assert span == {**chats, **error, "http.response.status_code": status, sizes: span[sizes]}
    nowhere = found("SERVER", **{"http.response.status_code": 404})
    assert nowhere == {
        **request,
        "http.request.method": "POST",
        "http.response.status_code": 404,
        sizes: nowhere[sizes],
    }
    model = found("SERVER", **{"http.request.method": "GET"})
    assert "url.path" not in model  # a model's name is the client's text
    assert model["http.route"] == "/v1/models/{model}"
    attempt = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "alpha",
        "gen_ai.request.model": "acme/tiny",
        "gen_ai.request.stream": False,
        "peer.service": "alpha",
        "server.address": "127.0.0.1",
        "server.port": upstream.port,
    }
    assert found("CLIENT", **{"http.response.status_code": 200}) == {
        **attempt,
        "http.response.status_code": 200,
        "gen_ai.response.id": "chatcmpl-1",
        "gen_ai.response.model": "tiny-2026",
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.usage.input_tokens": 10,
        "gen_ai.usage.output_tokens": 4,
        "gen_ai.usage.cache_read.input_tokens": 6,
        "gen_ai.usage.reasoning.output_tokens": 3,
    }
    failed = found("CLIENT", **{"http.response.status_code": 500})
    assert failed == {**attempt, "http.response.status_code": 500, "error.type": "upstream_5xx"}


def test_the_opt_ins_are_those_of_the_families():
    assert {spec.convention for spec in CONVENTIONS} == set(OPT_INS)
