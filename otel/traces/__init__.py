"""Traces: an event becomes a span, and trace context travels in and out.

    spans, attempt_attributes (names, attributes) -> fast_tracer (sampling, ids) -> fast_span -> delivery
    propagation (b3, trace_state): the caller's headers -> context -> the provider's headers

`provider` makes the tracers, `context` holds the open span.
"""
