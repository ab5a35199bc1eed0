"""Requests whose caller turned sampling off, over HTTP: failed and slow ones leave their whole trace at the OTLP endpoint."""

import asyncio

import pytest

from otel.traces.held_trace import HoldRules
from tests.app.gateway.traced_gateway import pushed_telemetry
from tests.harness.otlp_receiver import OtlpReceiver

pytestmark = pytest.mark.live
CHAT = b'{"model":"acme/tiny","messages":[{"role":"user","content":"x"}]}'


def caller(number, flags="00"):
    """Return the headers of a caller with a trace of its own."""
    return {"traceparent": f"00-{number:032x}-e457b5a2e4d86bd1-{flags}"}


def trace_of(receiver, number):
    return sorted(receiver.trace(f"{number:032x}"), key=lambda span: span["kind"], reverse=True)


async def refuse(exchange):
    await exchange.reply({"error": {"message": "overloaded"}}, status=500)


async def test_a_failed_request_leaves_its_trace_and_a_good_one_does_not(make_upstream, make_gateway, wire):
    upstream = await make_upstream()
    with OtlpReceiver() as receiver:
        async with pushed_telemetry(receiver) as telemetry:
            gateway = await make_gateway(upstream, recorder=telemetry.recorder)
            assert (await gateway.post("/v1/chat/completions", CHAT, caller(1))).status == 200
            upstream.script = refuse
            failed = await gateway.post("/v1/chat/completions", CHAT, caller(2))
            assert (failed.status, failed.headers["x-trace-id"]) == (502, f"{2:032x}")
            assert (await gateway.post("/v1/chat/completions", CHAT, caller(3, "01"))).status == 502
            upstream.script = wire.response
            assert (await gateway.post("/v1/chat/completions", CHAT, caller(4))).status == 200
        held, sampled = trace_of(receiver, 2), trace_of(receiver, 3)
        assert [trace_of(receiver, number) for number in (1, 4)] == [[], []]
    assert [span["kind"] for span in held] == ["SERVER", "CLIENT"]
    assert [span["status"] for span in held] == ["ERROR", "ERROR"]
    assert held[0]["parent_span_id"] == "e457b5a2e4d86bd1"
    assert held[1]["parent_span_id"] == held[0]["span_id"]
    assert held[1]["attributes"]["error.type"] == "upstream_5xx"
    # Backends get what they get of a sampled trace; the provider gets the caller's decision.
    assert [span["flags"] for span in held] == [span["flags"] for span in sampled]
    assert [set(span["attributes"]) for span in held] == [set(span["attributes"]) for span in sampled]
    sent = [exchange.headers["traceparent"].rpartition("-")[2] for exchange in upstream.exchanges]
    assert sent == ["00", "00", "01", "00"]


@pytest.mark.parametrize("failed", [True, False])
async def test_exemplars_point_to_failed_requests_that_are_exported(make_upstream, make_gateway, failed):
    upstream = await make_upstream(refuse)
    with OtlpReceiver() as receiver:
        async with pushed_telemetry(receiver, hold=HoldRules(failed=failed)) as telemetry:
            gateway = await make_gateway(upstream, recorder=telemetry.recorder)
            response = await gateway.post("/v1/chat/completions", CHAT, caller(1))
            assert response.status == 502
            text = telemetry.exposition.respond(
                method="GET", accept="application/openmetrics-text", accept_encoding=None
            ).body.decode()
        assert bool(receiver.trace(f"{1:032x}")) is failed
    named = {line.partition("{")[0] for line in text.splitlines() if f'trace_id="{1:032x}"' in line}
    own = {"fastapi_requests_total", "fastapi_responses_total", "fastapi_requests_duration_seconds_bucket"}
    assert named == (own if failed else set())


async def test_a_slow_request_leaves_its_trace(make_upstream, make_gateway, wire):
    go = asyncio.Event()

    async def slowly(exchange):
        await go.wait()
        await wire.response(exchange)

    upstream = await make_upstream()
    now = [1_000_000_000]
    with OtlpReceiver() as receiver:
        rules = HoldRules(failed=False, slower_than_seconds=30.0)
        async with pushed_telemetry(receiver, hold=rules, unix_ns=lambda: now[0]) as telemetry:
            gateway = await make_gateway(upstream, recorder=telemetry.recorder)
            await gateway.post("/v1/chat/completions", CHAT, caller(1))
            upstream.script = slowly
            response = asyncio.create_task(gateway.post("/v1/chat/completions", CHAT, caller(2)))
            await wire.until(lambda: len(upstream.exchanges) == 2, "the second request")
            now[0] += 31_000_000_000
            go.set()
            assert (await response).status == 200
            upstream.script = refuse
            assert (await gateway.post("/v1/chat/completions", CHAT, caller(3))).status == 502
        traces = [[span["name"] for span in trace_of(receiver, number)] for number in (1, 2, 3)]
    assert traces == [[], ["POST /v1/chat/completions", "chat acme/tiny"], []]


@pytest.mark.parametrize(
    ("environ", "hold", "traces"),
    [
        ({}, HoldRules(failed=False), 1),  # the one without a caller
        ({"OTEL_TRACES_SAMPLER": "parentbased_always_off"}, HoldRules(), 0),
        ({"OTEL_TRACES_SAMPLER": "always_off"}, HoldRules(), 0),
        ({"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0"}, HoldRules(), 2),
    ],
)
async def test_the_setting_and_the_samplers(make_upstream, make_gateway, environ, hold, traces):
    upstream = await make_upstream(refuse)
    with OtlpReceiver() as receiver:
        async with pushed_telemetry(receiver, environ, hold=hold) as telemetry:
            gateway = await make_gateway(upstream, recorder=telemetry.recorder)
            for headers in (caller(1), {}):
                assert (await gateway.post("/v1/chat/completions", CHAT, headers)).status == 502
        assert len({span["trace_id"] for span in receiver.spans}) == traces


@pytest.mark.parametrize("headers", [{"b3": "0"}, {"X-B3-Sampled": "0"}, {"b3": f"{1:032x}-e457b5a2e4d86bd1-0"}])
async def test_a_b3_caller_that_turned_sampling_off_gets_the_trace_of_a_failure_too(
    make_upstream, make_gateway, headers
):
    upstream = await make_upstream(refuse)
    with OtlpReceiver() as receiver:
        async with pushed_telemetry(receiver, {"OTEL_PROPAGATORS": "b3"}) as telemetry:
            gateway = await make_gateway(upstream, recorder=telemetry.recorder)
            failed = await gateway.post("/v1/chat/completions", CHAT, headers)
            assert failed.status == 502
        held = receiver.trace(failed.headers["x-trace-id"])
    assert sorted(span["kind"] for span in held) == ["CLIENT", "SERVER"]
    assert upstream.exchanges[0].headers["b3"].endswith("-0")


async def test_many_unsampled_requests_at_once_hold_no_more_than_the_bound(make_upstream, make_gateway, wire):
    go = asyncio.Event()

    async def slowly(exchange):
        await go.wait()
        await refuse(exchange)

    upstream = await make_upstream(slowly)
    with OtlpReceiver() as receiver:
        async with pushed_telemetry(receiver) as telemetry:
            hold = telemetry.providers.tracers.hold
            hold.max_spans = 12
            gateway = await make_gateway(upstream, recorder=telemetry.recorder)
            calls = [gateway.post("/v1/chat/completions", CHAT, caller(number + 1)) for number in range(20)]
            responses = asyncio.gather(*calls)
            await wire.until(lambda: len(upstream.exchanges) == 20, "every attempt")
            assert hold.spans == 12
            go.set()
            assert {response.status for response in await responses} == {502}
            assert hold.spans == 0
            text = telemetry.exposition.respond(method="GET", accept=None, accept_encoding=None).body.decode()
        kinds = [span["kind"] for span in receiver.spans]
    assert (kinds.count("SERVER"), kinds.count("CLIENT")) == (20, 12)
    assert 'gatewayz_telemetry_dropped_total{signal="traces",reason="held_limit"} 8\n' in text
