"""Configuration by the `OTEL_*` variables.

environ -> otlp (endpoints, TLS), limits, propagators, conventions, via values -> TelemetryConfig;  unused -> warnings
"""
