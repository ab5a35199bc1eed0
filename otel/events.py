"""EVENT: the immutable facts an application hands to telemetry, and the ports it hands them to.

Comes in: nothing; these are plain structs and Protocols. Goes out: `otel/recorder.py` turns each
event into measurements (`otel/metrics/measurements.py`), span ends (`otel/traces/spans.py`) and log
records (`otel/logs/request_line.py`). This file imports neither OpenTelemetry nor a framework, so
that a gateway's domain can depend on it.

Durations are in seconds on a monotonic clock. Money is in nano-US-dollars (int): exact sums, and
the metric equals the ledger.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Final, Literal, Protocol, TypeAlias

import msgspec

NANO: Final = 1_000_000_000
"""Nano-US-dollars in a US dollar."""

AttemptStatus: TypeAlias = Literal["success", "error", "cancelled"]
CallStatus: TypeAlias = Literal["success", "error", "cancelled"]
CancelPhase: TypeAlias = Literal["before_first_byte", "after_first_byte"]
DisbelievedCount: TypeAlias = Literal["input", "output", "total", "cached"]
ErrorKind: TypeAlias = Literal[
    "connect_error",  # no connection, or it broke before the first byte
    "connect_timeout",
    "first_byte_timeout",  # of a stream
    "whole_answer_timeout",  # an answer that is not streamed was not complete in time
    "idle_timeout",  # the provider stopped sending in the middle of an answer
    "total_timeout",  # the provider streamed for as long as the gateway allows
    "rate_limited",  # 429
    "upstream_4xx",  # of the caller's own making; does not count against the provider
    "content_policy",  # the provider's moderation refused the prompt
    "size_refused",  # the request is too large for the provider's limits on the gateway's account, or for its connection
    "upstream_5xx",
    "upstream_auth",  # 401, 402, 403: the provider refuses the gateway's key or account
    "upstream_quota",  # credit or quota of the gateway's account is exhausted
    "model_unavailable",  # 404, 405, 410: the provider no longer serves the model at this address
    "bad_response",  # not the wire format that was promised
    "stream_broken",  # the stream ended without its end marker
    "slow_client",  # the client read too slowly for the answer to end in time
    "pool_timeout",  # the gateway's own connection pool was full
    "gateway_resources",  # the gateway has no file descriptors or local ports left
    "field_refused",  # the provider does not know a field that the gateway had added
]
FaultDomain: TypeAlias = Literal["caller", "policy", "provider", "network", "gateway"]


class RequestReceived(msgspec.Struct, frozen=True, kw_only=True):
    """An HTTP request reached the application. `path` is the route template or `unmatched`; `headers` only the trace context."""

    method: str
    path: str
    headers: Mapping[str, str] = {}


class RequestFinished(msgspec.Struct, frozen=True, kw_only=True):
    """The response body ended, or the client left. `status_code` 499: it left before the response began."""

    status_code: int
    duration_seconds: float
    outcome: Literal["ok", "error", "cancelled"]
    response_bytes: int = 0


class ExceptionMapped(msgspec.Struct, frozen=True, kw_only=True):
    """An exception was unhandled or answered with a 5xx; `exception_type` is its class name."""

    exception_type: str


class CallerIdentified(msgspec.Struct, frozen=True, kw_only=True):
    """Authentication succeeded. `key_id` is the public id of the key, never the key."""

    key_id: str
    plan: str


class AttemptStarted(msgspec.Struct, frozen=True, kw_only=True):
    """One call to one provider begins. `number` counts from 1 within the request.

    `server_address` is empty where it is not known. `started_unix_ns` is given where the call began before it was recorded.
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


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens and money of one attempt. `estimated`: the provider reported no usage that can be, and the gateway estimated it.

    `disbelieved`: which counts the provider reported that cannot be; of a whole call it is empty.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    estimated: bool = False
    disbelieved: tuple[DisbelievedCount, ...] = ()
    cost_nanousd: int = 0
    credits_nanousd: int = 0


NO_USAGE = Usage()


class AttemptFinished(msgspec.Struct, frozen=True, kw_only=True):
    """One call to one provider ended.

    `response_seconds`: until the first byte of the answer, or until the time-out; None when there was neither.
    `first_token_seconds`: until the first streamed chunk with content; None without one.
    `connection_was_stale`: a `connect_error` on a pooled connection that had been idle, which the provider or a firewall had closed.
    `cancel_phase` is set exactly when `status` is `cancelled`, `error_kind` exactly when it is `error`.
    """

    status: AttemptStatus
    duration_seconds: float
    error_kind: ErrorKind | None = None
    connection_was_stale: bool = False
    cancel_phase: CancelPhase | None = None
    http_status: int | None = None
    response_seconds: float | None = None
    first_token_seconds: float | None = None
    usage: Usage = NO_USAGE
    response_id: str | None = None
    response_model: str | None = None
    finish_reason: str | None = None


class CallFinished(msgspec.Struct, frozen=True, kw_only=True):
    """One LLM call (all attempts of one request) ended. `provider` is None when the answer came from the cache."""

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


class CacheLookedUp(msgspec.Struct, frozen=True, kw_only=True):
    """A cache was asked."""

    cache: Literal["response", "api_key"]
    hit: bool


class RateLimited(msgspec.Struct, frozen=True, kw_only=True):
    """A request was answered with 429."""

    limit_type: Literal[
        "key_requests", "key_tokens", "plan_requests", "plan_tokens", "key_concurrency", "key_body_bytes", "upstream"
    ]


class QueryFinished(msgspec.Struct, frozen=True, kw_only=True):
    """A database statement ended."""

    operation: Literal["select", "insert", "update", "delete"]
    duration_seconds: float


class LedgerRowsDropped(msgspec.Struct, frozen=True, kw_only=True):
    """The ledger writer gave up rows because its queue was full."""

    rows: int


class BreakerChanged(msgspec.Struct, frozen=True, kw_only=True):
    """A provider's circuit breaker entered `state`."""

    provider: str
    state: Literal["closed", "open", "half_open"]


class ProbeFinished(msgspec.Struct, frozen=True, kw_only=True):
    """A small call of our own to a provider ended; `unclear`: it answered, but not in a way that says whether it takes traffic."""

    provider: str
    outcome: Literal["up", "down", "unclear"]


class EventLoopLagged(msgspec.Struct, frozen=True, kw_only=True):
    """The event loop ran a timer, so much later than it was due."""

    lag_seconds: float


class AnomalyBegan(msgspec.Struct, frozen=True, kw_only=True):
    """A provider, a model or the whole gateway left its own recent normal, with the numbers that say so.

    `value`, `baseline` and `threshold` are in the signal's unit: `slowdown` times the expected duration, `errors` a share (0 to 1),
    `input_tokens` and `output_tokens` per attempt, `traffic` attempts per minute. `spread` is one standard deviation: a factor, but for errors
    a share. `samples` attempts in `window_minutes`. `also`: other scopes that show it, as `kind:name`.
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
    """Takes events. Never raises, never blocks, safe from any thread."""

    def record(self, event: Event) -> None:
        """Record an event that belongs to no request, or to the one that is current."""

    def start_request(self, event: RequestReceived) -> "RequestScope":
        """Open the server span and count the request as in progress."""

    def start_attempt(self, event: AttemptStarted) -> "AttemptScope":
        """Open a client span below the one that is current: a call to a provider outside any `RequestScope`."""


class AttemptScope(Protocol):
    """One attempt, from its start to its one end."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The trace context to send to the provider, in the headers of the configured propagators (`traceparent` by default)."""

    def finish(self, event: AttemptFinished) -> None:
        """End the attempt; a second call changes nothing."""


class RequestScope(Protocol):
    """One HTTP request, from its arrival to its one end."""

    @property
    def trace_id(self) -> str:
        """The request's trace id, 32 lower-case hex digits."""

    def current(self) -> AbstractContextManager[None]:
        """Make the request's span current for what libraries log, until the context manager exits in the same task."""

    def record(self, event: Event) -> None:
        """Record an event of this request, with its span as the exemplar's and the log's context."""

    def start_attempt(self, event: AttemptStarted) -> AttemptScope:
        """Open a client span for one call to a provider."""

    def finish(self, event: RequestFinished) -> None:
        """End the request; a second call changes nothing."""
