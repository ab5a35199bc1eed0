"""Attribute keys and the closed sets of values that labels take; no client input ever becomes one of them."""

from typing import Final

OTHER: Final = "other"
"""Stands for every provider, model or exception type that is not in the configuration or the code."""

UNMATCHED: Final = "unmatched"
"""The `path` of a request that no route answers."""

OTHER_METHOD: Final = "_OTHER"
"""The `method` of a request with an unknown verb (HTTP semantic conventions use the same word)."""

KNOWN_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"})

APP_NAME: Final = "app_name"
METHOD: Final = "method"
PATH: Final = "path"
STATUS_CODE: Final = "status_code"
EXCEPTION_TYPE: Final = "exception_type"
VERSION: Final = "version"
PROVIDER: Final = "provider"
MODEL: Final = "model"
STATUS: Final = "status"
TOKEN_TYPE: Final = "token_type"  # noqa: S105  a label key
PLAN: Final = "plan"
STATE: Final = "state"
TYPE: Final = "type"
OPERATION: Final = "operation"
CACHE: Final = "cache"
LIMIT_TYPE: Final = "limit_type"
SIGNAL: Final = "signal"
REASON: Final = "reason"
PHASE: Final = "phase"
METRIC: Final = "metric"
OUTCOME: Final = "outcome"
JOB_NAME: Final = "job_name"
"""A periodic job; not `job`, which Prometheus itself puts on every series."""

ATTEMPT_STATUSES: Final = ("success", "error")
TOKEN_TYPES: Final = ("input", "output")
DISBELIEVED_COUNTS: Final = ("input", "output", "total", "cached")
BREAKER_STATES: Final = ("closed", "open", "half_open")
PROBE_OUTCOMES: Final = ("up", "down", "unclear")
ANOMALY_TYPES: Final = ("latency_spike", "error_surge", "unusual_pattern")
QUERY_OPERATIONS: Final = ("select", "insert", "update", "delete")
CACHES: Final = ("response", "api_key")
LIMIT_TYPES: Final = (
    "key_requests", "key_tokens", "plan_requests", "plan_tokens", "key_concurrency", "key_body_bytes", "upstream",
)  # fmt: skip
CANCEL_PHASES: Final = ("before_first_byte", "after_first_byte")
SIGNALS: Final = ("traces", "metrics", "logs")
DROP_REASONS: Final = ("buffer_full", "rejected", "shutdown", "encoding")
CONNECTION_CLOSE_REASONS: Final = ("idlest", "refused", "no_descriptor", "unparsed_bytes")
JOB_FAILURES: Final = ("error", "timeout", "cancelled")
