"""UPSTREAM FAILURE: what a provider did wrong, in the words of `ErrorKind`, and what that means for the caller.

Comes in: status codes, headers and error bodies of providers. Goes out: `UpstreamFailure` (try the next provider) or
`CallerFaultError` (the answer is the caller's). What a provider wrote may quote a prompt: it goes to the caller at most, never to logs.
"""

import email.utils
from typing import Final

import msgspec

from app.errors import GatewayError
from otel.events import ErrorKind

MAX_ERROR_BYTES: Final = 64 * 1024
MAX_RETRY_AFTER_SECONDS: Final = 3_600.0
DEFAULT_RETRY_AFTER_SECONDS: Final = 1.0

_RATE_LIMITED: Final = 429
_CLIENT_ERRORS: Final = range(400, 500)
_SERVER_ERRORS: Final = range(500, 600)
# Our key or our account: nothing that the caller could change.
_OURS: Final = frozenset({401, 402, 403, 407})
# Numbered as the client's fault, but said by a server that was too slow or not ready.
_TRY_LATER: Final = frozenset({408, 425})
_PASSED_ON: Final = frozenset({400, 404, 409, 413, 422})


class UpstreamFailure(Exception):  # noqa: N818  an outcome that the fail-over handles, not an error of the program
    """An attempt failed through no fault of the caller.

    `retry_after_seconds` accompanies `rate_limited`; `connection_was_reused`, a `connect_error` on a connection that had been idle.
    """

    def __init__(
        self,
        kind: ErrorKind,
        *,
        http_status: int | None = None,
        retry_after_seconds: float | None = None,
        connection_was_reused: bool = False,
    ) -> None:
        super().__init__(kind)
        self.connection_was_reused = connection_was_reused
        self.kind: ErrorKind = kind
        self.http_status = http_status
        self.retry_after_seconds = retry_after_seconds


class CallerFaultError(GatewayError):
    """A provider refused the request as the caller's mistake; `body` is its own error object, when it sent one."""

    status = 400
    type = "invalid_request_error"
    code = "provider_refused"

    def __init__(self, http_status: int, body: bytes) -> None:
        super().__init__("The provider refused the request.")
        self.upstream_status = http_status
        self.answer_status = http_status if http_status in _PASSED_ON else 400
        self.body = body if _is_error_object(body) else None


def failure_of_status(
    status: int, body: bytes, *, retry_after: str | None, unix_seconds: float
) -> UpstreamFailure | CallerFaultError:
    """Classify an answer whose status is not 200; `unix_seconds` is now, for a `Retry-After` that is a date."""
    if status == _RATE_LIMITED:
        wait_seconds = parse_retry_after(retry_after, unix_seconds)
        return UpstreamFailure("rate_limited", http_status=status, retry_after_seconds=wait_seconds)
    if status in _SERVER_ERRORS or status in _TRY_LATER:
        return UpstreamFailure("upstream_5xx", http_status=status)
    if status in _OURS:
        return UpstreamFailure("upstream_auth", http_status=status)
    if status in _CLIENT_ERRORS:
        return CallerFaultError(status, body)
    return UpstreamFailure("bad_response", http_status=status)


def failure_of_error_object(error: object, *, http_status: int) -> UpstreamFailure:
    """Classify an error object inside a 200 answer by its numeric `code`, as OpenRouter sends them."""
    code = error.get("code") if isinstance(error, dict) else None
    if code == _RATE_LIMITED:
        return UpstreamFailure("rate_limited", http_status=http_status, retry_after_seconds=DEFAULT_RETRY_AFTER_SECONDS)
    if isinstance(code, int) and code in _SERVER_ERRORS:
        return UpstreamFailure("upstream_5xx", http_status=http_status)
    return UpstreamFailure("bad_response", http_status=http_status)


def parse_retry_after(value: str | None, unix_seconds: float) -> float:
    """Read a `Retry-After` header: seconds or a date; a default where it is missing or unreadable, and never over an hour."""
    seconds = DEFAULT_RETRY_AFTER_SECONDS
    if value is not None:
        try:
            seconds = float(value)
        except ValueError:
            seconds = _date(value) - unix_seconds
    if not 0 < seconds < MAX_RETRY_AFTER_SECONDS:
        return MAX_RETRY_AFTER_SECONDS if seconds >= MAX_RETRY_AFTER_SECONDS else DEFAULT_RETRY_AFTER_SECONDS
    return seconds


def _date(value: str) -> float:
    """Read an HTTP date as Unix seconds; 0 where it is none."""
    try:
        return email.utils.parsedate_to_datetime(value).timestamp()
    except (ValueError, OverflowError):
        return 0.0


def _is_error_object(body: bytes) -> bool:
    """Whether a body is a JSON object with an `error` in it, so that it can be passed on as it is."""
    try:
        fields = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    except (ValueError, RecursionError):
        return False
    return bytes(fields.get("error", b""))[:1] in {b"{", b'"'}
