"""What the gateway's domain needs from the outside, as Protocols; `app/store`, `app/providers` and the tests provide them."""

from collections.abc import Callable, Iterable
from typing import Final, Literal, Protocol, TypeAlias

import msgspec

from app.gateway.quota_headers import Quotas
from otel.events import AttemptFinished
from otel.events.usage import CostSource

LimitType: TypeAlias = Literal["key_requests", "key_tokens", "plan_requests", "plan_tokens"]


class Clock(Protocol):
    """Time, from outside."""

    def monotonic(self) -> float:
        """Seconds on a clock that never goes back."""

    def unix_ms(self) -> int:
        """Milliseconds since the Unix epoch."""


IDENTIFIED_KEY: Final = "gatewayz.identified"
"""The scope key of a function of the server, which is called with the id of a request's key once the caller is known."""

CLIENT_KEY: Final = "gatewayz.client"
"""The scope key of the server's `Client`; other servers have none, and the messages of ASGI tell the same."""


HEADERS_KEY: Final = "gatewayz.headers"
"""The scope key of a request's headers by name, in lower case, where no name is there twice; other servers do not set it."""


class Client(Protocol):
    """The client of one request, as the server sees it."""

    @property
    def is_body_complete(self) -> bool:
        """Whether the whole body has arrived: to receive it waits for nothing."""

    def call_on_leave(self, act: Callable[[], None]) -> None:
        """Read on, and call `act` when the client leaves before the end of the response; at once where it has left."""


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Who makes a call. `key_id` is the key's public id; the limits are per minute, None is unlimited."""

    key_id: str
    plan: str
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None


class KeyDirectory(Protocol):
    """Turns the secret that a client sent into a caller."""

    async def find(self, secret: str) -> Caller:
        """Return the caller; raises `InvalidApiKeyError`, `KeyExpiredError` (trial over), `OverloadedError` or `StoreUnavailableError`."""


class LimitDecision(msgspec.Struct, frozen=True, kw_only=True):
    """The limiter's decision on one request. `retry_after_seconds` is set where it is refused.

    `reset_*_seconds`: until the budget is full again, if nothing else is taken from it.
    """

    allowed: bool
    limit_type: LimitType | None = None
    retry_after_seconds: float = 0.0
    limit_requests: int | None = None
    remaining_requests: int | None = None
    limit_tokens: int | None = None
    remaining_tokens: int | None = None
    reset_requests_seconds: float | None = None
    reset_tokens_seconds: float | None = None


class ResponseCache(Protocol):
    """Exact-match responses of deterministic requests, as bytes.

    `is_own`: values come back as this process stored them; otherwise any writer of the cache server may have stored them.
    """

    @property
    def is_own(self) -> bool:
        """Whether a value is certain to be a response."""

    async def get(self, key: bytes) -> bytes | None:
        """Return the stored response, or None; a broken cache is a miss."""

    async def put(self, key: bytes, value: bytes, ttl_seconds: float) -> None:
        """Store a response; a broken cache stores nothing and fails nothing."""


class AttemptObserver(Protocol):
    """Observes the completion of every attempt."""

    def attempt_finished(self, provider: str, model: str, event: AttemptFinished, now_seconds: float) -> None:
        """Count an attempt that ended at `now_seconds` of the monotonic clock; never raises."""


class AttemptPermit(Protocol):
    """The right to make one attempt; without its completion the provider counts it as in flight indefinitely."""

    def content_arrived(self) -> None:
        """Count that content of a streamed response arrived, long before the attempt may end; never raises."""

    def report_quotas(self, quotas: Quotas) -> None:
        """Store what is left of the target's quotas; never raises."""

    def pause(self, seconds: float) -> None:
        """Skip the target for so long, as its rate limit requires; never raises."""

    def attempt_finished(self, model: str, event: AttemptFinished) -> None:
        """Count the attempt's completion; never raises."""


Target: TypeAlias = tuple[str, str]
"""A provider and the provider's own name for a model."""


class Blocked(msgspec.Struct, frozen=True, kw_only=True):
    """Why no target of a model may be called: for how long the first is skipped, and whether all wait for a rate limit only."""

    retry_after_seconds: float
    is_rate_limited: bool


class ProviderGate(Protocol):
    """Decides which targets may be called now."""

    def admit(self, provider: str, upstream_model: str) -> AttemptPermit | None:
        """Return the permit for one attempt, or None while the provider or its model is skipped."""

    def blocked(self, targets: Iterable[Target]) -> Blocked:
        """Return why none of these may be called."""


class LedgerRow(msgspec.Struct, frozen=True, kw_only=True):
    """One call as the ledger keeps it. Money in nano-US-dollars, times in milliseconds (Unix epoch, UTC); usage as in `Usage` of otel.

    `tags` is a JSON object of the caller's tags.
    """

    call_id: str
    started_unix_ms: int
    trace_id: str
    key_id: str
    plan: str
    operation: str
    model: str
    provider: str | None
    status: str
    error_kind: str | None
    stream: bool
    cached: bool
    attempts: int
    input_tokens: int
    output_tokens: int
    usage_estimated: bool
    cost_nanousd: int
    credits_nanousd: int
    duration_ms: int
    first_token_ms: int | None
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    input_audio_tokens: int = 0
    output_audio_tokens: int = 0
    cost_source: CostSource | None = None
    reported_nanousd: int | None = None
    unpriced_tokens: int = 0
    exposure_nanousd: int = 0
    tags: str | None = None


class Ledger(Protocol):
    """Stores rows off the request path."""

    def append(self, row: LedgerRow) -> None:
        """Queue one row for the next group commit; never blocks, never raises."""
