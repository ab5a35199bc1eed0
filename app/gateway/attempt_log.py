"""One warning per failed attempt: which provider, why, whose fault, and what to do about it.

Input: a failed attempt. Output: a log line of `gatewayz.attempt`, written in the context of the
request. It holds only what a provider writes about itself: a refusal that blames the caller or its
prompt may quote the prompt, and none of its words is logged.
"""

import logging
from typing import Final

from aiohttp.helpers import parse_content_type

from app.gateway.fault import fault_of
from app.gateway.models import Route
from app.gateway.openai.failures import CALLERS, CallerFaultError, UpstreamFailure, logged_words

_LOGGER: Final = logging.getLogger("gatewayz.attempt")
_MAX_CHARACTERS: Final = 200
_REDIRECTS: Final = range(300, 400)


def log_failed_attempt(
    model: str,
    route: Route,
    failure: UpstreamFailure | CallerFaultError,
    http_status: int | None,
    content_type: str | None,
    *,
    duration_seconds: float,
) -> None:
    """Write the line. `content_type` is the field of the response, None without one."""
    fault = fault_of(failure.kind)
    reason = _reason(route, failure)
    words: list[str] = [failure.kind]
    if http_status is not None:
        words.append(f"status {http_status}")
    if reason:
        words.append(reason)
    hint = _hint(route, failure, http_status)
    _LOGGER.warning(
        "attempt at %s failed: %s%s",
        route.provider.name,
        ", ".join(words),
        f" ({hint})" if hint else "",
        extra={
            "provider": route.provider.name,
            "model": model,
            "upstream_model": route.upstream_model,
            "error_kind": failure.kind,
            "fault": fault.domain,
            "status": http_status,
            "duration_ms": round(duration_seconds * 1_000, 3),
            "content_type": None if http_status is None else _media_type(content_type),
            "reason": reason,
            "hint": hint,
        },
    )


def _media_type(content_type: str | None) -> str:
    """Return the type of a response without its parameters; one that has none is of the default type (RFC 9110, section 8.3)."""
    return _printable("application/octet-stream" if content_type is None else parse_content_type(content_type)[0])


def _printable(text: str) -> str:
    """Return a header of the provider's as it may be logged: it may hold any bytes."""
    return "".join(char if char.isprintable() else " " for char in text[:_MAX_CHARACTERS])


def _reason(route: Route, failure: UpstreamFailure | CallerFaultError) -> str | None:
    """Return why it failed, in the first words of the provider's error where nothing else is known."""
    if isinstance(failure, CallerFaultError) or failure.kind in CALLERS:
        return None
    reason = failure.reason
    if reason is None and failure.error is not None:
        # An error inside a 200.
        reason = logged_words(failure.error, route.provider.scrub)
    return None if reason is None else reason[:_MAX_CHARACTERS]


def _hint(route: Route, failure: UpstreamFailure | CallerFaultError, http_status: int | None) -> str | None:
    """Return what to look at first, where that is known."""
    provider = route.provider
    if isinstance(failure, UpstreamFailure) and failure.connection_was_reused:
        return "keepalive_seconds below the provider's own timeout avoids it"
    if failure.kind == "upstream_auth":
        return f"check the value of {provider.config.api_key_env}" if provider.has_key else "set api_key_env"
    if failure.kind == "bad_response" and http_status in _REDIRECTS:
        return "redirects are not followed: check base_url"
    return _HINTS.get(failure.kind)


_HINTS: Final = {
    "connect_error": "check base_url, DNS and proxy",
    "model_unavailable": "check base_url and upstream_model",
    "upstream_quota": "check the account at the provider",
    "pool_timeout": "raise max_connections",
    "gateway_resources": "open files, ports, or room for large responses",
    "field_refused": "stream_options = false saves the first attempt",
}
