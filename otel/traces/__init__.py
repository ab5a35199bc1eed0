"""Traces: an event becomes a span with attributes and links; trace context travels in and out."""
