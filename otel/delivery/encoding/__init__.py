"""Encoding: finished spans, log records and collected metrics become OTLP protobuf."""
