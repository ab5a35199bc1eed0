"""Callers' trace context over HTTP: the trace goes on through the gateway to the provider, in each format of `OTEL_PROPAGATORS`."""

import pytest

from tests.app.gateway.traced_gateway import pushed_telemetry
from tests.harness.otlp_receiver import OtlpReceiver

pytestmark = pytest.mark.live
TRACE_ID = "80f198ee56343ba864fe8b2a57d3eff7"
SPAN_ID = "e457b5a2e4d86bd1"
W3C = {"traceparent": f"00-{TRACE_ID}-{SPAN_ID}-01"}
B3 = {"b3": f"{TRACE_ID}-{SPAN_ID}-1"}
B3_MULTI = {"X-B3-TraceId": TRACE_ID, "X-B3-SpanId": SPAN_ID, "X-B3-Sampled": "1"}
CHAT = b'{"model":"acme/tiny","messages":[{"role":"user","content":"x"}]}'


def context_headers(exchange):
    """Return the trace context that the provider got."""
    return {name: value for name, value in exchange.headers.items() if name.startswith(("traceparent", "b3", "x-b3"))}


@pytest.mark.parametrize(
    ("propagators", "headers", "sent"),
    [
        ("tracecontext", W3C, {"traceparent": "00-{trace}-{span}-01"}),
        ("b3", B3, {"b3": "{trace}-{span}-1"}),
        ("b3", B3_MULTI, {"b3": "{trace}-{span}-1"}),
        ("b3multi", B3_MULTI, {"x-b3-traceid": "{trace}", "x-b3-spanid": "{span}", "x-b3-sampled": "1"}),
        ("tracecontext,b3", B3, {"traceparent": "00-{trace}-{span}-01", "b3": "{trace}-{span}-1"}),
        ("B3, TraceContext", W3C, {"traceparent": "00-{trace}-{span}-01", "b3": "{trace}-{span}-1"}),
    ],
)
async def test_a_callers_trace_goes_on_to_the_provider(make_upstream, make_gateway, propagators, headers, sent):
    upstream = await make_upstream()
    with OtlpReceiver() as receiver:
        async with pushed_telemetry(receiver, {"OTEL_PROPAGATORS": propagators}) as telemetry:
            gateway = await make_gateway(upstream, recorder=telemetry.recorder)
            response = await gateway.post("/v1/chat/completions", CHAT, headers)
            assert (response.status, response.headers["x-trace-id"]) == (200, TRACE_ID)
        server, attempt = sorted(receiver.trace(TRACE_ID), key=lambda span: span["kind"], reverse=True)
    assert (server["kind"], server["parent_span_id"]) == ("SERVER", SPAN_ID)
    assert (attempt["kind"], attempt["parent_span_id"]) == ("CLIENT", server["span_id"])
    expected = {name: text.format(trace=TRACE_ID, span=attempt["span_id"]) for name, text in sent.items()}
    assert context_headers(upstream.exchanges[0]) == expected


@pytest.mark.parametrize(
    ("propagators", "headers"),
    [("tracecontext", {**B3, **B3_MULTI}), ("b3", W3C), ("none", {**W3C, **B3, **B3_MULTI})],
)
async def test_a_format_that_is_not_named_begins_a_trace_of_its_own(make_upstream, make_gateway, propagators, headers):
    upstream = await make_upstream()
    with OtlpReceiver() as receiver:
        async with pushed_telemetry(receiver, {"OTEL_PROPAGATORS": propagators}) as telemetry:
            gateway = await make_gateway(upstream, recorder=telemetry.recorder)
            response = await gateway.post("/v1/chat/completions", CHAT, headers)
        trace_id = response.headers["x-trace-id"]
        assert trace_id != TRACE_ID
        assert [span["parent_span_id"] for span in receiver.trace(trace_id) if span["kind"] == "SERVER"] == [""]
    assert (propagators == "none") is not bool(context_headers(upstream.exchanges[0]))
