"""Free text of callers and providers does not reach telemetry: malformed trace context, names that providers report."""

import json
import logging

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from otel.events import AttemptFinished, AttemptStarted, RequestReceived
from otel.labels import LabelBounds
from otel.logs.writer import LogWriter, StdlibHandler
from otel.redaction import KnownSecrets
from otel.traces.fast_tracer import FastTracer
from otel.traces.span_parts import SpanOrigin
from otel.traces.spans import SpanWriter

BOUNDS = LabelBounds.from_routes("gw", (("p", "m"),))
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def lines():
    """The lines that the process logs during the test."""
    lines: list[str] = []
    root = logging.getLogger()
    handler = StdlibHandler(LogWriter(None, lines.append, lambda: 0))
    root.addHandler(handler)
    yield lines
    root.removeHandler(handler)


@pytest.mark.parametrize("tracestate", ["my prompt", "a=1,secret words", "=secret", "a=1\x00secret"])
def test_a_malformed_tracestate_is_not_quoted_in_the_log(lines: list[str], tracestate: str) -> None:
    TraceContextTextMapPropagator().extract({"traceparent": TRACEPARENT, "tracestate": tracestate})
    logging.getLogger("opentelemetry.sdk").warning("of another kind")
    assert [json.loads(line)["message"] for line in lines] == ["of another kind"]


def attributes_of(finished: AttemptFinished) -> dict:
    exporter = InMemorySpanExporter()
    tracers = TracerProvider(shutdown_on_exit=False)
    tracers.add_span_processor(SimpleSpanProcessor(exporter))
    spans = SpanWriter(tracers.get_tracer("test"), BOUNDS)
    started = AttemptStarted(
        provider="p", model="m", upstream_model="u", operation="chat", stream=False, number=1,
        server_address="127.0.0.1", server_port=1,
    )  # fmt: skip
    context, _ = spans.start_attempt(started, parent=None)
    spans.end_attempt(get_current_span(context), finished)
    (span,) = exporter.get_finished_spans()
    return dict(span.attributes)


def spans_with(secrets=None):
    exporter = InMemorySpanExporter()
    tracers = TracerProvider(shutdown_on_exit=False)
    tracers.add_span_processor(SimpleSpanProcessor(exporter))
    return SpanWriter(tracers.get_tracer("test"), BOUNDS, secrets=secrets or KnownSecrets()), exporter


STARTED = AttemptStarted(
    provider="p", model="m", upstream_model="u", operation="chat", stream=False, number=1,
    server_address="127.0.0.1", server_port=1,
)  # fmt: skip


@pytest.mark.parametrize(
    ("state", "passes"),
    [
        ("congo=t61rcWkgMzE,rojo=00f067aa0ba902b7", True),
        ("dd=s:2;o:rum;t.dm:-4;p:00f067aa0ba902b7", True),
        ("33@nr=0-0-33-2827902-7d3efb1b173fecfa-e8b91a159289ff74-1-1.23456-1518469636035", True),
        ("v=my secret prompt: the patient is called Ada", False),
        ("v=prompt!with?other(signs)", False),
        ("a=1,v=two words", False),
        ("v=" + "x" * 129, False),
        (",".join(f"k{number}={'x' * 60}" for number in range(9)), False),
        ("v=gwz_abcdefghijklmnop1234567", False),
        ("V=1", False),
    ],
)
def test_free_text_in_a_trace_state_is_dropped(state: str, passes: bool) -> None:
    spans, exporter = spans_with()
    request = RequestReceived(
        method="POST", path="/v1/chat/completions", headers={"traceparent": TRACEPARENT, "tracestate": state}
    )
    server = spans.start_request(request)
    attempt, headers = spans.start_attempt(STARTED, server)
    for context in (attempt, server):
        get_current_span(context).end()
    assert headers.get("tracestate") == (state if passes else None)
    assert headers["traceparent"].split("-")[1] == TRACEPARENT.split("-")[1]  # the trace itself goes on
    for span in exporter.get_finished_spans():
        assert span.context.trace_state.to_header() == (state if passes else "")


def test_secrets_that_look_like_names_do_not_reach_a_span() -> None:
    spans, exporter = spans_with(KnownSecrets(["ordinary-looking-key"]))
    context, _ = spans.start_attempt(STARTED, parent=None)
    spans.end_attempt(
        get_current_span(context),
        AttemptFinished(
            status="success",
            duration_seconds=1.0,
            response_id="pk-CANARYabcdefghijk",
            response_model="gwz_CANARYabcdefghijk",
            finish_reason="ordinary-looking-key",
        ),
    )
    (span,) = exporter.get_finished_spans()
    assert [span.attributes[key] for key in PROVIDER_KEYS] == ["[redacted]", "[redacted]", ("[redacted]",)]


def test_exceptions_and_events_on_spans_are_redacted() -> None:
    ended = []
    redact = KnownSecrets(["ordinary-looking-key"]).redact
    origin = SpanOrigin(Resource({}), InstrumentationScope("x"), SpanLimits(), lambda: 0, ended.append, redact)
    with (
        pytest.raises(ValueError, match="ordinary"),
        FastTracer(origin, ALWAYS_ON, RandomIdGenerator()).start_span("s") as span,
    ):
        span.add_event("e", {"text": 'password="v w"', "n": 1})
        raise ValueError("refused ordinary-looking-key and sk-abcdefghijklmnop1234")
    text = ended[0].to_json()
    assert "ordinary-looking" not in text
    assert "sk-abc" not in text
    assert "v w" not in text
    assert '"n": 1' in text


PROVIDER_KEYS = ("gen_ai.response.id", "gen_ai.response.model", "gen_ai.response.finish_reasons")


@pytest.mark.parametrize(
    "text", ["the prompt was: hello", "id\n", 'x",provider="y', "\ud800", "a" * 129, "", "\u202e", "é", "-x", "x\x00"]
)
def test_prose_of_a_provider_does_not_reach_a_span(text: str) -> None:
    attributes = attributes_of(
        AttemptFinished(
            status="success", duration_seconds=1.0, response_id=text, response_model=text, finish_reason=text
        )
    )
    assert not attributes.keys() & set(PROVIDER_KEYS)


@pytest.mark.parametrize(
    "text", ["chatcmpl-B9MHDbslfkBeAs8l4bebGdFOJ6PeG", "gen-1730000000-aB_c", "meta-llama/Llama-3.1-8B:free", "tool_calls", "a" * 128]
)  # fmt: skip
def test_names_that_providers_use_are_unchanged(text: str) -> None:
    attributes = attributes_of(
        AttemptFinished(
            status="success", duration_seconds=1.0, response_id=text, response_model=text, finish_reason=text
        )
    )
    assert [attributes[key] for key in PROVIDER_KEYS] == [text, text, (text,)]
