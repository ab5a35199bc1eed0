"""The context of an open span, with what each measurement and log line in it reads."""

from opentelemetry.context import Context, get_current
from opentelemetry.trace import Span, SpanContext
from opentelemetry.trace.propagation import _SPAN_KEY


class TracedContext(Context):
    """A context whose span is known without looking it up."""

    __slots__ = ("is_sampled", "span", "span_context")

    is_sampled: bool
    span: Span
    span_context: SpanContext


def traced_context(span: Span, parent: Context | None) -> TracedContext:
    """Return `parent` with `span` as its current span."""
    context = TracedContext({**(get_current() if parent is None else parent), _SPAN_KEY: span})
    context.span = span
    context.span_context = span_context = span.get_span_context()
    context.is_sampled = span_context.trace_flags.sampled
    return context
