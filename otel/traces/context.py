"""The context of an open span, with what each measurement and log line in it reads."""

from contextvars import Token
from types import TracebackType
from typing import Final

from opentelemetry import context as otel_context
from opentelemetry.context import Context, get_current
from opentelemetry.trace import Span, SpanContext, TraceFlags
from opentelemetry.trace.propagation import _SPAN_KEY

_SAMPLED: Final = int(TraceFlags.SAMPLED)
_set: Final = dict.__setitem__


class TracedContext(Context):
    """A context whose span is known without looking it up."""

    __slots__ = ("exemplar", "span", "span_context")

    exemplar: SpanContext | None
    """The span's context where exemplars may point to it."""

    span: Span
    span_context: SpanContext


def traced_context(span: Span, parent: Context | None) -> TracedContext:
    """Return `parent` with `span` as its current span."""
    return context_of(span, span.get_span_context(), get_current() if parent is None else parent)


def context_of(span: Span, span_context: SpanContext, parent: Context) -> TracedContext:
    """Return `parent` with `span`, whose context this is, as its current span."""
    context = TracedContext(parent)
    _set(context, _SPAN_KEY, span)  # a context is read-only from now on
    context.span = span
    context.span_context = span_context
    context.exemplar = span_context if span_context[3] & _SAMPLED else None  # the properties cost four times as much
    return context


class CurrentContext:
    """Makes a context current inside a `with` block; a generator would cost three times as much."""

    __slots__ = ("_context", "_token")

    def __init__(self, context: Context) -> None:
        self._context = context
        self._token: Token[Context] | None = None

    def __enter__(self) -> None:
        self._token = otel_context.attach(self._context)

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._token is not None:
            otel_context.detach(self._token)
