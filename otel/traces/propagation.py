"""The propagator of `OTEL_PROPAGATORS`: trace context is read from requests and sent to providers.

Of several propagators all read, in that order, and the last one that finds a context wins. All
send.
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
    """Return the propagator.

    `sampler` decides where a B3 caller leaves the sampling decision to the receiver.
    """

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
