"""Logs: a record becomes one JSON line on a stream and an OTLP log record.

    request_line, anomaly_line, StdlibHandler -> writer -> stream_writer -> stdout
                                                        -> fast_logger -> delivery

Secrets are redacted in `writer`.
"""
