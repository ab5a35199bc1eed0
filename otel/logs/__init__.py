"""Logs: a record becomes one JSON line on a stream, and an OTLP log record."""
