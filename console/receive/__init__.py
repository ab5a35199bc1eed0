"""Receives OTLP over HTTP: requests of any OpenTelemetry program become batches of records.

    http_app (checks, bounds) -> body -> intake (bounded queue) -> the store's writer thread:
        content (gzip, JSON) -> spans | logs | metrics -> Batch -> commit -> http_app acknowledges

A request is acknowledged after its commit, so a process that is killed loses nothing it
acknowledged. What cannot be taken now gets 503 with Retry-After, and the client sends it again.
"""
