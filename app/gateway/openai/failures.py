"""The outcomes of a failed attempt, `UpstreamFailure` and `CallerFaultError`; `refusal_kind.py` classifies a provider's error.

Input: status codes, headers and error bodies of providers. Output: `UpstreamFailure` (try the next
provider) or `CallerFaultError` (the response is the caller's). A refusal that blames the
caller may quote a prompt: its text goes to the caller alone, never to logs.
"""

import email.utils
from http import HTTPStatus
from typing import Final

from app.errors import GatewayError
from app.gateway.openai.provider_reason import ProviderReason, Scrub, error_json, read_reason, reason_of, words_of
from app.gateway.openai.refusal_kind import kind_of_error, kind_of_refusal
from otel.events import ErrorKind

MAX_ERROR_BYTES: Final = 64 * 1024
MAX_RETRY_AFTER_SECONDS: Final = 3_600.0
DEFAULT_RETRY_AFTER_SECONDS: Final = 1.0

_PASSED_ON: Final = frozenset({400, 403, 404, 409, 413, 422})
CALLERS: Final = frozenset({"upstream_4xx", "content_policy"})
"""Refusals of a request or its prompt: they may quote it."""

_NOTHING_TO_SCRUB: Final = Scrub()


class UpstreamFailure(Exception):  # noqa: N818  an outcome that the failover handles, not an error of the program
    """An attempt failed, and the next provider may do better.

    `retry_after_seconds` accompanies `rate_limited`, None where the provider gave no time;
    `connection_was_reused`, a `connect_error` on a connection that had been idle. `reason` is what
    is logged: scrubbed, bounded, and without words of the caller.
    """

    def __init__(
        self,
        kind: ErrorKind,
        *,
        http_status: int | None = None,
        retry_after_seconds: float | None = None,
        connection_was_reused: bool = False,
        reason: str | None = None,
        error: ProviderReason | None = None,
    ) -> None:
        super().__init__(kind)
        self.connection_was_reused = connection_was_reused
        self.kind: ErrorKind = kind
        self.http_status = http_status
        self.retry_after_seconds = retry_after_seconds
        self.reason = reason
        self.error = error


class CallerFaultError(GatewayError):
    """A provider refused the request as the caller's mistake, or as against its policy; `body` is the reason in OpenAI's shape."""

    status = 400
    type = "invalid_request_error"
    code = "provider_refused"

    def __init__(
        self,
        http_status: int,
        body: bytes | ProviderReason,
        *,
        kind: ErrorKind = "upstream_4xx",
        scrub: Scrub = _NOTHING_TO_SCRUB,
    ) -> None:
        super().__init__("The provider refused the request.")
        self.kind: ErrorKind = kind
        self.response_status = http_status if http_status in _PASSED_ON else HTTPStatus.BAD_REQUEST.value
        self.body = error_json(
            read_reason(body) if isinstance(body, bytes) else body,
            default_message=self.message,
            default_type=self.type,
            default_code=self.code,
            scrub=scrub,
        )


def failure_of_status(
    status: int,
    body: bytes,
    *,
    retry_after: str | None,
    unix_seconds: float,
    content_type: str | None = None,
    sent: bytes = b"",
    model: str = "",
    scrub: Scrub = _NOTHING_TO_SCRUB,
) -> UpstreamFailure | CallerFaultError:
    """Classify a response whose status is not 2xx.

    `unix_seconds` is now, for a `Retry-After` that is a date; `content_type` is the field of the
    response; `sent` is the body that the caller sent, and `model` the provider's name for the model.
    """
    error = read_reason(body, content_type)
    kind = kind_of_refusal(status, error, sent, model)
    if kind in CALLERS:
        return CallerFaultError(status, error, kind=kind, scrub=scrub)
    return UpstreamFailure(
        kind,
        http_status=status,
        retry_after_seconds=None
        if kind != "rate_limited" or retry_after is None
        else parse_retry_after(retry_after, unix_seconds),
        reason=logged_words(error, scrub),
        error=error,
    )


def failure_of_error_object(error: object, *, http_status: int) -> UpstreamFailure:
    """Classify an error object inside a 200 response by its codes: numbers, numbers as text, and the usual words."""
    is_envelope = isinstance(error, dict) and (error.get("error") or error.get("errors"))
    return failure_of_reason(reason_of(error if is_envelope else {"error": error}), http_status=http_status)


def failure_of_reason(reason: ProviderReason, *, http_status: int) -> UpstreamFailure:
    """Classify a provider's error inside a 200 response."""
    return UpstreamFailure(kind_of_error(reason), http_status=http_status, error=reason)


def caller_fault_of(failure: UpstreamFailure, scrub: Scrub) -> CallerFaultError | None:
    """Return what the caller gets at once for an error inside a 200 that blames its request; None for every other failure."""
    if failure.kind not in CALLERS:
        return None
    return CallerFaultError(
        HTTPStatus.BAD_REQUEST.value, failure.error or ProviderReason(), kind=failure.kind, scrub=scrub
    )


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


def logged_words(error: ProviderReason, scrub: Scrub) -> str | None:
    """Return the provider's words for the logs."""
    words = words_of(error.message) if error.message else None
    return scrub.text(words) if words else None


def _date(value: str) -> float:
    """Read an HTTP date as Unix seconds; 0 where it is none."""
    try:
        return email.utils.parsedate_to_datetime(value).timestamp()
    except (ValueError, OverflowError):
        return 0.0
