"""The context of an open span, with what each measurement and log line in it reads."""

from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanContext, set_span_in_context


class TracedContext(Context):
    """A context whose span is known without looking it up."""

    __slots__ = ("is_sampled", "span_context")

    is_sampled: bool
    span_context: SpanContext


def traced_context(span: Span, parent: Context | None) -> TracedContext:
    """Return `parent` with `span` as its current span."""
    context = TracedContext(set_span_in_context(span, parent))
    context.span_context = span.get_span_context()
    context.is_sampled = context.span_context.trace_flags.sampled
    return context
