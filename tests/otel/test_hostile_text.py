"""Text that callers and providers make up does not get into telemetry: malformed trace context, and what providers say of themselves."""

import json
import logging

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from otel.events import AttemptFinished, AttemptStarted
from otel.labels import LabelBounds
from otel.logs import LogWriter, StdlibHandler
from otel.spans import SpanWriter

BOUNDS = LabelBounds.from_routes("gw", (("p", "m"),))
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def lines():
    """What the process logs while the fixture is in use."""
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


PROVIDER_KEYS = ("gen_ai.response.id", "gen_ai.response.model", "gen_ai.response.finish_reasons")


@pytest.mark.parametrize(
    "text", ["the prompt was: hello", "id\n", 'x",provider="y', "\ud800", "a" * 129, "", "\u202e", "é", "-x", "x\x00"]
)
def test_prose_of_a_provider_does_not_get_onto_a_span(text: str) -> None:
    attributes = attributes_of(
        AttemptFinished(
            status="success", duration_seconds=1.0, response_id=text, response_model=text, finish_reason=text
        )
    )
    assert not attributes.keys() & set(PROVIDER_KEYS)


@pytest.mark.parametrize(
    "text", ["chatcmpl-B9MHDbslfkBeAs8l4bebGdFOJ6PeG", "gen-1730000000-aB_c", "meta-llama/Llama-3.1-8B:free", "tool_calls", "a" * 128]
)  # fmt: skip
def test_names_that_providers_use_stay_as_they_are(text: str) -> None:
    attributes = attributes_of(
        AttemptFinished(
            status="success", duration_seconds=1.0, response_id=text, response_model=text, finish_reason=text
        )
    )
    assert [attributes[key] for key in PROVIDER_KEYS] == [text, text, (text,)]
