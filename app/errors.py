"""Every error that the gateway returns, with the OpenAI wire form of each.

The domain raises these errors; `app/gateway/openai/error_body.py` writes their bodies and
`app/http/responses.py` sends them. `status`, `type` and `code` follow the OpenAI API, so that its
official SDKs raise their own typed errors.
"""

from typing import ClassVar


class GatewayError(Exception):
    """Base of all. `message` reaches the client: it names what to do and never quotes a key or a prompt."""

    status: ClassVar[int] = 500
    type: ClassVar[str] = "server_error"
    code: ClassVar[str | None] = None
    limit_type: str | None = None

    def __init__(self, message: str, *, param: str | None = None, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.retry_after_seconds = retry_after_seconds


class InvalidRequestError(GatewayError):
    """The body is not valid JSON, or a field that the gateway reads has the wrong type."""

    status = 400
    type = "invalid_request_error"


class UnreadableBodyError(InvalidRequestError):
    """The body is not text in JSON. Client and gateway may disagree where it ends, so the connection is closed."""


class InvalidApiKeyError(GatewayError):
    """No key, an unknown key, or a revoked one."""

    status = 401
    type = "invalid_request_error"
    code = "invalid_api_key"


class KeyExpiredError(GatewayError):
    """The key's trial is over."""

    status = 403
    type = "invalid_request_error"
    code = "trial_expired"


class UnknownModelError(GatewayError):
    """The model is not in the configuration."""

    status = 404
    type = "invalid_request_error"
    code = "model_not_found"


class RequestTimeoutError(GatewayError):
    """The client took too long to send its request."""

    status = 408
    type = "invalid_request_error"
    code = "request_timeout"


class BodyTooLargeError(GatewayError):
    """The request body is over the configured limit."""

    status = 413
    type = "invalid_request_error"
    code = "request_too_large"


class UnsupportedCodingError(GatewayError):
    """The request body is compressed in a way that the gateway does not decode."""

    status = 415
    type = "invalid_request_error"
    code = "unsupported_content_encoding"


class RateLimitedError(GatewayError):
    """One of the caller's own limits was hit; `limit_type` names it."""

    status = 429
    type = "requests"
    code = "rate_limit_exceeded"

    def __init__(self, message: str, *, limit_type: str, retry_after_seconds: float) -> None:
        super().__init__(message, retry_after_seconds=retry_after_seconds)
        self.limit_type = limit_type


class BudgetSpentError(RateLimitedError):
    """A budget of the caller's key or plan does not hold what the call may cost at most, in nano-US-dollars.

    `waits_for_others`: calls in flight have reserved what is missing.
    """

    type = "insufficient_quota"
    code = "insufficient_quota"

    def __init__(
        self,
        *,
        owner: str,
        period: str,
        largest_cost_nanousd: int,
        waits_for_others: bool,
        retry_after_seconds: float,
    ) -> None:
        reason = "is reserved by calls in flight" if waits_for_others else "is spent"
        whole, part = divmod(largest_cost_nanousd, 1_000_000_000)
        super().__init__(
            f"Budget reached: the budget of the {owner} per {period} {reason}, as far as this call needs it"
            f" (up to {whole}.{part:09d} USD). A smaller max_completion_tokens needs less. Retry after the time that Retry-After gives.",
            limit_type="budget",
            retry_after_seconds=retry_after_seconds,
        )


class UpstreamRateLimitedError(RateLimitedError):
    """Every provider of the model returned 429."""

    code = "upstream_rate_limited"


class OverloadedError(GatewayError):
    """The gateway has as many requests in flight as its configuration admits."""

    status = 503
    type = "server_error"
    code = "overloaded"


class StoreUnavailableError(GatewayError):
    """The database did not respond."""

    status = 503
    type = "server_error"
    code = "store_unavailable"


class ProvidersUnavailableError(GatewayError):
    """Every provider of the model has an open circuit; none was called."""

    status = 503
    type = "server_error"
    code = "providers_unavailable"


class UpstreamFailedError(GatewayError):
    """Every provider of the model failed, or returned something that is not the wire format."""

    status = 502
    type = "server_error"
    code = "upstream_failed"


class UpstreamTimeoutError(GatewayError):
    """Every provider of the model failed, the last one by a timeout."""

    status = 504
    type = "server_error"
    code = "upstream_timeout"
