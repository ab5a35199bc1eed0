"""The trace API's provider, whose tracers make fast spans."""

from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import Sampler
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Tracer, TracerProvider
from opentelemetry.util.types import Attributes

from otel.traces.fast_tracer import FastTracer
from otel.traces.held_trace import TraceHold
from otel.traces.span_parts import SpanOrigin


class FastTracerProvider(TracerProvider):
    """Makes one tracer for each instrumentation scope. Safe from any thread.

    All spans share `origin`, except its scope, which is the tracer's.
    """

    def __init__(self, origin: SpanOrigin, sampler: Sampler, ids: IdGenerator, hold: TraceHold | None = None) -> None:
        self._origin = origin
        self._sampler = sampler
        self._ids = ids
        self.hold = hold
        self._tracers: dict[InstrumentationScope, Tracer] = {}

    def get_tracer(
        self,
        instrumenting_module_name: str,
        instrumenting_library_version: str | None = None,
        schema_url: str | None = None,
        attributes: Attributes | None = None,
    ) -> Tracer:
        """Return the tracer of a scope.

        The same object each time, so that its spans share one scope.
        """
        scope = InstrumentationScope(instrumenting_module_name, instrumenting_library_version, schema_url, attributes)
        found = self._tracers.get(scope)
        if found is None:
            found = FastTracer(self._origin._replace(scope=scope), self._sampler, self._ids, self.hold)
            found = self._tracers.setdefault(scope, found)
        return found
