"""The immutable events that an application passes to telemetry, and the ports that take them. Durations are seconds on a monotonic clock."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Literal, Protocol, TypeAlias

import msgspec

from otel.events.usage import NO_USAGE, Usage

AttemptStatus: TypeAlias = Literal["success", "error", "cancelled"]
CallStatus: TypeAlias = Literal["success", "error", "cancelled"]
CancelPhase: TypeAlias = Literal["before_first_byte", "after_first_byte"]
ErrorKind: TypeAlias = Literal[
    "connect_error",  # no connection, or it broke before the first byte
    "connect_timeout",
    "first_byte_timeout",  # of a stream
    "whole_answer_timeout",  # a response that is not streamed was incomplete when the time was up
    "idle_timeout",  # the provider stopped sending in the middle of a response
    "total_timeout",  # the provider streamed for as long as the gateway allows
    "rate_limited",  # 429
    "upstream_4xx",  # the caller's mistake; does not count against the provider
    "content_policy",  # the provider's moderation refused the prompt
    "size_refused",  # the request is too large for the provider's limits on the gateway's account, or for its connection
    "tier_unavailable",  # the provider has no capacity for the service tier that the request names
    "upstream_5xx",
    "upstream_auth",  # 401, 402, 403: the provider refuses the gateway's key or account
    "upstream_quota",  # credit or quota of the gateway's account is exhausted
    "model_unavailable",  # 404, 405, 410: the provider no longer serves the model at this address
    "bad_response",  # not in the expected wire format
    "stream_broken",  # the stream ended without its end marker
    "slow_client",  # the client read too slowly for the response to end in time
    "pool_timeout",  # the gateway's own connection pool was full
    "gateway_resources",  # the gateway has no file descriptors or local ports left
    "field_refused",  # the provider rejects a field that the gateway added
]
FaultDomain: TypeAlias = Literal["caller", "policy", "provider", "network", "gateway"]


class RequestReceived(msgspec.Struct, frozen=True, kw_only=True):
    """An HTTP request arrived.

    `path` is the route template or `unmatched`; `headers` holds only the trace context.
    """

    method: str
    path: str
    headers: Mapping[str, str] = {}
    scheme: str = "http"
    protocol_version: str = ""


class RequestFinished(msgspec.Struct, frozen=True, kw_only=True):
    """The response body ended, or the client left; `status_code` 499: before the response began."""

    status_code: int
    duration_seconds: float
    outcome: Literal["ok", "error", "cancelled"]
    response_bytes: int = 0


class ExceptionMapped(msgspec.Struct, frozen=True, kw_only=True):
    """An exception was unhandled or became a 5xx response; `exception_type` is its class name."""

    exception_type: str


class CallerIdentified(msgspec.Struct, frozen=True, kw_only=True):
    """Authentication succeeded. `key_id` is the public id of the key, never the key."""

    key_id: str
    plan: str


class AttemptStarted(msgspec.Struct, frozen=True, kw_only=True):
    """One call to one provider begins. `number` counts from 1 within the request.

    `server_address` is empty where it is unknown. `started_unix_ns` is set where the call began
    before it was recorded.
    """

    provider: str
    model: str
    upstream_model: str
    operation: Literal["chat", "embeddings"]
    stream: bool
    number: int
    server_address: str
    server_port: int
    started_unix_ns: int | None = None


class AttemptFinished(msgspec.Struct, frozen=True, kw_only=True):
    """One call to one provider ended.

    - `response_seconds`: until the first byte of the response, or until the timeout; None when
      there was neither.
    - `first_token_seconds`: until the first streamed chunk with content; None without one.
    - `longest_gap_seconds`: the longest wait of a stream between two chunks with content; None
      without two.
    - `pool_wait_seconds`: how long it waited for a pooled connection; None where it did not.
    - `connection_was_stale`: a `connect_error` on an idle pooled connection that the provider or a
      firewall had closed.

    `cancel_phase` is set exactly when `status` is `cancelled`, `error_kind` exactly when it is
    `error`; `fault` is the domain of the kind, None where an application has no domains.
    """

    status: AttemptStatus
    duration_seconds: float
    error_kind: ErrorKind | None = None
    fault: FaultDomain | None = None
    connection_was_stale: bool = False
    cancel_phase: CancelPhase | None = None
    http_status: int | None = None
    response_seconds: float | None = None
    first_token_seconds: float | None = None
    longest_gap_seconds: float | None = None
    pool_wait_seconds: float | None = None
    usage: Usage = NO_USAGE
    response_id: str | None = None
    response_model: str | None = None
    finish_reason: str | None = None


class CallFinished(msgspec.Struct, frozen=True, kw_only=True):
    """One LLM call (all attempts of one request) ended.

    `provider` is None when the response came from the cache. `tags` are the caller's own, bounded;
    they are for logs, never for labels.
    """

    operation: Literal["chat", "embeddings"]
    model: str
    provider: str | None
    status: CallStatus
    stream: bool
    attempts: int
    duration_seconds: float
    cached: bool = False
    error_kind: str | None = None
    cancel_phase: CancelPhase | None = None
    usage: Usage = NO_USAGE
    tags: Mapping[str, str] | None = None


class OverheadMeasured(msgspec.Struct, frozen=True, kw_only=True):
    """The response to a call has left the process, after `seconds` without any wait for a provider, a client or a limit."""

    operation: Literal["chat", "embeddings"]
    stream: bool
    seconds: float


class CacheLookedUp(msgspec.Struct, frozen=True, kw_only=True):
    """A cache was looked up."""

    cache: Literal["response", "api_key"]
    hit: bool


class RateLimited(msgspec.Struct, frozen=True, kw_only=True):
    """A request was refused with status 429."""

    limit_type: Literal[
        "key_requests",
        "key_tokens",
        "plan_requests",
        "plan_tokens",
        "key_concurrency",
        "key_body_bytes",
        "upstream",
        "budget",
    ]


class QueryFinished(msgspec.Struct, frozen=True, kw_only=True):
    """A database statement ended; `error_type` is the class of the exception of one that failed."""

    operation: Literal["select", "insert", "update", "delete"]
    duration_seconds: float
    database: str = "other_sql"
    error_type: str | None = None


class LedgerRowsDropped(msgspec.Struct, frozen=True, kw_only=True):
    """The ledger writer dropped rows because its queue was full."""

    rows: int


class BreakerChanged(msgspec.Struct, frozen=True, kw_only=True):
    """A provider's circuit breaker entered `state`."""

    provider: str
    state: Literal["closed", "open", "half_open"]


class ProbeFinished(msgspec.Struct, frozen=True, kw_only=True):
    """The gateway's own small call to a provider ended.

    `unclear`: the response does not show whether it takes traffic.
    """

    provider: str
    outcome: Literal["up", "down", "unclear"]


class EventLoopLagged(msgspec.Struct, frozen=True, kw_only=True):
    """The event loop ran a timer `lag_seconds` after it was due."""

    lag_seconds: float


class AnomalyBegan(msgspec.Struct, frozen=True, kw_only=True):
    """A provider, a model or the whole gateway deviates from its baseline.

    - `value`, `baseline` and `threshold` are in the signal's unit: `slowdown` is a multiple of the
      expected duration, `errors` a share (0 to 1), `input_tokens` and `output_tokens` are per
      attempt, `traffic` is attempts per minute.
    - `spread` is one standard deviation, as a factor; for `errors` as a share.
    - `samples` is the number of attempts in `window_minutes`.
    - `also` lists other scopes that show the anomaly, as `kind:name`.
    """

    type: Literal["latency_spike", "error_surge", "unusual_pattern"]
    scope: Literal["provider", "model", "gateway"]
    name: str
    signal: Literal["slowdown", "errors", "input_tokens", "output_tokens", "traffic"]
    value: float
    baseline: float
    spread: float
    threshold: float
    samples: int
    window_minutes: int
    also: tuple[str, ...] = ()


Event: TypeAlias = (
    RequestFinished
    | ExceptionMapped
    | CallerIdentified
    | AttemptFinished
    | CallFinished
    | OverheadMeasured
    | CacheLookedUp
    | RateLimited
    | QueryFinished
    | LedgerRowsDropped
    | BreakerChanged
    | AnomalyBegan
    | ProbeFinished
    | EventLoopLagged
)


class Recorder(Protocol):
    """Records events. Never raises, never blocks, safe from any thread."""

    def record(self, event: Event) -> None:
        """Record an event outside any request scope."""

    def start_request(self, event: RequestReceived) -> "RequestScope":
        """Open the server span and count the request as in progress."""

    def start_attempt(self, event: AttemptStarted) -> "AttemptScope":
        """Open a client span as a child of the current span, outside any `RequestScope`."""


class AttemptScope(Protocol):
    """One attempt, from its start to its completion."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers with the trace context for the provider, by default `traceparent`."""

    def finish(self, event: AttemptFinished) -> None:
        """End the attempt; a second call changes nothing."""


class RequestScope(Protocol):
    """One HTTP request, from its arrival to its completion."""

    @property
    def trace_id(self) -> str:
        """The request's trace id, 32 lower-case hex digits."""

    def current(self) -> AbstractContextManager[None]:
        """Make the request's span current inside the `with` block, for log lines of libraries."""

    def record(self, event: Event) -> None:
        """Record an event of this request; exemplars and log lines carry its span."""

    def start_attempt(self, event: AttemptStarted) -> AttemptScope:
        """Open a client span for one call to a provider."""

    def finish(self, event: RequestFinished) -> None:
        """End the request; a second call changes nothing."""
