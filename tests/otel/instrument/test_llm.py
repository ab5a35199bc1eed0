"""A recorded LLM call moves the documented metrics exactly, opens one client span and writes one line, however it ends."""

import asyncio
from decimal import Decimal

import pytest

from tests.harness.clock import ManualClock
from tests.harness.telemetered import Console, exposition, make_telemetry, samples

LLM = {"openai": ["gpt"], "local": ["smol"]}
ROUTE = (("model", "gpt"), ("provider", "openai"))


@pytest.fixture
def console() -> Console:
    return Console()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def telemetry(console, clock):
    telemetry = make_telemetry(llm=LLM, clock=clock, **console.options)
    yield telemetry
    telemetry.shutdown(1)


async def test_a_streamed_call_is_counted_timed_and_charged(telemetry, console, clock) -> None:
    with telemetry.llm.call("openai", "gpt", stream=True, upstream_model="gpt-2026") as call:
        assert call.headers["traceparent"].startswith("00-")
        clock.seconds += 0.5
        call.first_token()
        clock.seconds += 1.5
        call.first_token()
        call.usage(100, 31, cost_usd="0.000000001", charged_usd=Decimal("0.5"))
    assert (await samples(telemetry, "model_inference_requests_total"))[(*ROUTE, ("status", "success"))] == 1
    assert await samples(telemetry, "model_inference_duration_seconds_sum") == {ROUTE: 2.0}
    assert await samples(telemetry, "provider_response_time_seconds_sum") == {(("provider", "openai"),): 0.5}
    assert await samples(telemetry, "time_to_first_token_seconds_sum") == {ROUTE: 0.5}
    assert await samples(telemetry, "output_tokens_per_second_sum") == {ROUTE: 20.0}
    tokens = await samples(telemetry, "tokens_used_total")
    assert tokens[(*ROUTE, ("token_type", "input"))] == 100
    assert tokens[(*ROUTE, ("token_type", "output"))] == 31
    assert (await samples(telemetry, "cost_by_provider"))[("provider", "openai"),] == 1e-9
    assert (await samples(telemetry, "cost_usd_total"))[("cost_source", "priced"), *ROUTE] == 1e-9
    assert (await samples(telemetry, "credits_used_total"))[ROUTE] == 0.5
    telemetry.shutdown(1)
    (span,) = console.spans
    assert (span["name"], span["kind"]) == ("chat gpt", "SpanKind.CLIENT")
    assert span["attributes"] == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt",
        "gen_ai.request.stream": True,
        "gen_ai.response.time_to_first_chunk": 0.5,
        "gen_ai.usage.input_tokens": 100,
        "gen_ai.usage.output_tokens": 31,
        "peer.service": "openai",
        "app.attempt.number": 1,
        "app.attempt.status": "success",
        "app.cost_usd": 1e-9,
        "app.upstream_model": "gpt-2026",
        "app.usage.estimated": False,
    }
    (line,) = console.lines
    assert line["trace_id"] == span["context"]["trace_id"].removeprefix("0x")
    assert (line["logger"], line["message"], line["level"]) == ("app.llm", "chat openai gpt success", "info")
    assert (line["duration_ms"], line["first_token_ms"], line["input_tokens"]) == (2000.0, 500.0, 100)


async def test_known_calls_exist_at_zero_and_unknown_ones_are_other(telemetry) -> None:
    requests = await samples(telemetry, "model_inference_requests_total")
    assert set(requests.values()) == {0}
    assert len(requests) == 4
    telemetry.llm.record("openai", "prompt: ignore all", duration_seconds=1, input_tokens=1)
    telemetry.llm.record("anyone", "gpt", duration_seconds=1, error="refused")
    requests = await samples(telemetry, "model_inference_requests_total")
    assert requests[("model", "other"), ("provider", "openai"), ("status", "success")] == 1
    assert requests[("model", "gpt"), ("provider", "other"), ("status", "error")] == 1


class ApiError(Exception):
    def __init__(self, status_code: int) -> None:
        super().__init__("a prompt could be quoted here")
        self.status_code = status_code


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ApiError(429), "rate_limited"),
        (ApiError(401), "upstream_auth"),
        (ApiError(503), "upstream_5xx"),
        (ApiError(422), "upstream_4xx"),
        (TimeoutError(), "total_timeout"),
        (ConnectionResetError(), "connect_error"),
        (ValueError("secret"), "ValueError"),
    ],
)
async def test_an_exception_is_an_error_and_passes_through(telemetry, console, error, kind) -> None:
    with pytest.raises(type(error)), telemetry.llm.call("openai", "gpt"):
        raise error
    requests = await samples(telemetry, "model_inference_requests_total")
    assert requests[(*ROUTE, ("status", "error"))] == 1
    assert await samples(telemetry, "model_inference_duration_seconds_count") == {}
    telemetry.shutdown(1)
    (span,), (line,) = console.spans, console.lines
    assert span["attributes"]["error.type"] == line["error_kind"] == kind
    assert (span["status"], line["level"]) == ({"status_code": "ERROR"}, "error")
    assert "prompt" not in console.stream.getvalue()


async def test_a_cancelled_call_is_neither_success_nor_error(telemetry, console) -> None:
    async def call() -> None:
        with telemetry.llm.call("openai", "gpt", stream=True):
            await asyncio.Event().wait()

    task = asyncio.create_task(call())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert set((await samples(telemetry, "model_inference_requests_total")).values()) == {0}
    telemetry.shutdown(1)
    assert console.lines[0]["status"] == "cancelled"


async def test_a_failure_without_an_exception_is_named_by_the_code(telemetry, console) -> None:
    with telemetry.llm.call("local", "smol", operation="embeddings") as call:
        call.failed("bad_response")
    telemetry.shutdown(1)
    assert console.lines[0]["error_kind"] == "bad_response"


async def test_the_span_is_current_in_the_block_and_not_after_it(telemetry, console) -> None:
    with telemetry.tracer.start_as_current_span("outer"):
        with telemetry.llm.call("openai", "gpt"), telemetry.tracer.start_as_current_span("below"):
            pass
        telemetry.tracer.start_span("beside").end()
    telemetry.shutdown(1)
    spans = {span["name"]: span for span in console.spans}
    ids = {name: span["context"]["span_id"] for name, span in spans.items()}
    parents = {name: span["parent_id"] for name, span in spans.items()}
    assert parents == {"outer": None, "chat gpt": ids["outer"], "below": ids["chat gpt"], "beside": ids["outer"]}


async def test_a_generator_that_another_task_closes_leaves_no_error(telemetry, console, caplog) -> None:
    async def chunks():
        with telemetry.llm.call("openai", "gpt", stream=True) as call:
            call.first_token()
            yield "chunk"
            yield "never read"

    stream = chunks()
    assert await asyncio.create_task(anext(stream)) == "chunk"
    await asyncio.create_task(stream.aclose())
    assert caplog.records == []
    telemetry.shutdown(1)
    assert [line["status"] for line in console.lines] == ["cancelled"]


async def test_a_record_of_a_call_that_is_over_has_its_start_and_its_end(telemetry, console) -> None:
    telemetry.llm.record("openai", "gpt", duration_seconds=2.5, input_tokens=10, output_tokens=5, cost_usd=0.25)
    assert (await samples(telemetry, "cost_by_provider"))[("provider", "openai"),] == 0.25
    assert await samples(telemetry, "model_inference_duration_seconds_sum") == {ROUTE: 2.5}
    assert await samples(telemetry, "provider_response_time_seconds_sum") == {(("provider", "openai"),): 2.5}
    telemetry.shutdown(1)
    (span,) = console.spans
    assert span["start_time"] < span["end_time"]


async def test_the_gateways_families_are_in_no_other_application(telemetry) -> None:
    telemetry.llm.record("openai", "gpt", duration_seconds=1, input_tokens=1, cost_usd=1)
    text = await exposition(telemetry)
    docs = await exposition(telemetry, "/prometheus/metrics/docs")
    for family in (
        "gatewayz_",
        "rate_limited_requests",
        "active_api_keys",
        "cache_hits_total",
        "provider_availability",
    ):
        assert family not in text
        assert f"`{family}" not in docs


async def test_with_telemetry_off_a_call_runs_as_it_is() -> None:
    telemetry = make_telemetry(llm=LLM, environ={"OTEL_SDK_DISABLED": "true"})
    with telemetry.llm.call("openai", "gpt") as call:
        call.usage(1)
    telemetry.llm.record("openai", "gpt", duration_seconds=1)
    assert await exposition(telemetry) == ""
