"""Configuration by the `OTEL_*` variables.

environ -> otlp (endpoints, TLS), limits, via values -> TelemetryConfig;  unused -> warnings
"""
