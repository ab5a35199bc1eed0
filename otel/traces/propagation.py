"""The propagator that `OTEL_PROPAGATORS` names: which trace context is read from requests and sent to providers.

Where several are named, all are read in that order, so that the last one that finds a context wins,
and all are sent.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.sdk.trace.sampling import Decision, Sampler
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from otel.traces.b3 import B3Propagator


def build_propagator(names: Sequence[str], sampler: Sampler) -> TextMapPropagator:
    """Return the propagator; `sampler` decides about callers that leave the decision to the receiver, as about roots."""

    def decide(trace_id: int) -> bool:
        return sampler.should_sample(Context(), trace_id, "").decision is Decision.RECORD_AND_SAMPLE

    makers: Final[Mapping[str, Callable[[], TextMapPropagator]]] = {
        "tracecontext": TraceContextTextMapPropagator,
        "baggage": W3CBaggagePropagator,
        "b3": lambda: B3Propagator(decide),
        "b3multi": lambda: B3Propagator(decide, multi=True),
    }
    propagators = [makers[name]() for name in names]
    return propagators[0] if len(propagators) == 1 else CompositePropagator(propagators)
