"""Label keys and the closed sets of label values; no client input is ever added to them."""

from typing import Final

OTHER: Final = "other"
"""Replaces every provider, model or exception type that is neither configured nor in the code."""

UNMATCHED: Final = "unmatched"
"""The `path` of a request that matches no route."""

OTHER_METHOD: Final = "_OTHER"
"""The `method` of a request with an unknown verb (HTTP semantic conventions use the same value)."""

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
TOKEN_DETAIL: Final = "token_detail"  # noqa: S105  likewise
COST_SOURCE: Final = "cost_source"
DIRECTION: Final = "direction"
PLAN: Final = "plan"
BUDGET_PERIOD: Final = "period"
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
ERROR_KIND: Final = "error_kind"
FAULT: Final = "fault"
STREAM: Final = "stream"
QUOTA: Final = "quota"
JOB_NAME: Final = "job_name"
"""A periodic job. The key is not `job`, because Prometheus puts that one on every series."""

REQUEST_OUTCOMES: Final = ("ok", "refused", "error", "cancelled")
CALL_STATUSES: Final = ("success", "error", "cancelled")
ATTEMPT_STATUSES: Final = ("success", "error")
TOKEN_TYPES: Final = ("input", "output")
TOKEN_DETAILS: Final = ("cached", "cache_write", "reasoning", "audio_input", "audio_output")
IMPLAUSIBLE_COUNTS: Final = ("input", "output", "total", *TOKEN_DETAILS, "cost")
COST_SOURCES: Final = ("reported", "priced", "estimated", "unpriced")
BUDGET_PERIODS: Final = ("day", "month")
DIRECTIONS: Final = ("over", "under")
BREAKER_STATES: Final = ("closed", "open", "half_open")
PROBE_OUTCOMES: Final = ("up", "down", "unclear")
ANOMALY_TYPES: Final = ("latency_spike", "error_surge", "unusual_pattern")
QUERY_OPERATIONS: Final = ("select", "insert", "update", "delete")
CACHES: Final = ("response", "api_key")
LIMIT_TYPES: Final = (
    "key_requests", "key_tokens", "plan_requests", "plan_tokens", "key_concurrency", "key_body_bytes", "upstream", "budget",
)  # fmt: skip
CANCEL_PHASES: Final = ("before_first_byte", "after_first_byte")
ERROR_KINDS: Final = (
    "connect_error", "connect_timeout", "first_byte_timeout", "whole_answer_timeout", "idle_timeout", "total_timeout",
    "rate_limited", "upstream_4xx", "content_policy", "size_refused", "tier_unavailable", "upstream_5xx", "upstream_auth",
    "upstream_quota", "model_unavailable", "bad_response", "stream_broken", "slow_client", "pool_timeout", "gateway_resources",
    "field_refused",
)  # fmt: skip
QUOTAS: Final = ("requests", "tokens", "input_tokens", "output_tokens")
LLM_OPERATIONS: Final = ("chat", "embeddings")
BOOLEANS: Final = ("true", "false")
FAULT_DOMAINS: Final = ("caller", "policy", "provider", "network", "gateway")
SIGNALS: Final = ("traces", "metrics", "logs")
HELD_LIMIT: Final = "held_limit"
"""Spans of a failed or slow request that is not sampled, beyond the limits of held spans."""

DELIVERY_DROP_REASONS: Final = ("buffer_full", "rejected", "shutdown", "encoding")
DROP_REASONS: Final = (*DELIVERY_DROP_REASONS, HELD_LIMIT)
CONNECTION_CLOSE_REASONS: Final = ("idlest", "refused", "no_descriptor", "unparsed_bytes")
JOB_FAILURES: Final = ("error", "timeout", "cancelled")
