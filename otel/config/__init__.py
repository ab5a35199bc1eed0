"""Configuration by the `OTEL_*` variables: environ reads, otlp and limits check, unused warns."""
