"""What the caller gets when every attempt of a call failed, or a stream broke.

Input: the failures. Output: a `GatewayError` that names what kinds of failures there were, and
nothing of a provider's own words.
"""

from http import HTTPStatus
from typing import Final

from app.errors import (
    GatewayError,
    OverloadedError,
    UpstreamFailedError,
    UpstreamRateLimitedError,
    UpstreamTimeoutError,
)
from app.gateway.fault import TIMEOUTS
from app.gateway.openai.failures import DEFAULT_RETRY_AFTER_SECONDS, CallerFaultError, UpstreamFailure
from app.gateway.openai.provider_reason import ProviderReason

_RETRY_SECONDS: Final = 1.0
_LIMITED: Final = frozenset({"rate_limited", "tier_unavailable"})
_OWN_LACK: Final = frozenset({"pool_timeout", "gateway_resources"})


def error_of_failures(failures: list[UpstreamFailure]) -> GatewayError:
    """Return the caller's error for the failures of all attempts.

    413 if the request was too large for each; 429 if each was rate limited, or without capacity for
    its service tier; 503 if the last could not be made because the gateway lacked a resource; 504
    if it timed out; else 502.
    """
    last = failures[-1].kind
    if all(failure.kind == "size_refused" for failure in failures):
        message = failures[-1].reason or "The request is too large for every provider of the model."
        return CallerFaultError(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE.value, ProviderReason(message=message), kind="size_refused"
        )
    if all(failure.kind == "tier_unavailable" for failure in failures):
        return UpstreamRateLimitedError(
            "No provider of the model has capacity for the service tier that the request names.",
            limit_type="upstream",
            retry_after_seconds=DEFAULT_RETRY_AFTER_SECONDS,
        )
    if all(failure.kind in _LIMITED for failure in failures):
        waits = [failure.retry_after_seconds or DEFAULT_RETRY_AFTER_SECONDS for failure in failures]
        return UpstreamRateLimitedError(
            "Every provider of the model is rate limited.", limit_type="upstream", retry_after_seconds=min(waits)
        )
    kinds = ", ".join(dict.fromkeys(failure.kind for failure in failures))
    if last in _OWN_LACK:
        return OverloadedError(
            f"The gateway has no connection to a provider free ({kinds}). Retry after the time that Retry-After gives.",
            retry_after_seconds=_RETRY_SECONDS,
        )
    if last in TIMEOUTS:
        return UpstreamTimeoutError(f"No provider of the model responded in time ({kinds}).")
    return UpstreamFailedError(f"Every provider of the model failed ({kinds}).")


def error_of_broken_stream(failure: UpstreamFailure) -> GatewayError:
    """Return the error that ends a stream after its first byte."""
    if failure.kind == "slow_client":
        return UpstreamTimeoutError("The client read the stream too slowly for it to end in time.")
    if failure.kind in TIMEOUTS:
        return UpstreamTimeoutError("The provider stopped in the middle of its response.")
    return UpstreamFailedError("The provider broke off its response.")
