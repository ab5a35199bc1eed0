"""Instrumentation of an LLM gateway on OpenTelemetry: events in; metrics, traces and logs out. It knows no web framework."""
