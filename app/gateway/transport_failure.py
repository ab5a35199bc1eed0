"""What an exception of the HTTP client means: whose fault it is, and why, in words that hold no address and no secret.

Input: what `aiohttp` raised while a request was sent. Output: an `UpstreamFailure`.
"""

import errno
import os
import re
import socket
import ssl
from typing import Final

import aiohttp

from app.gateway.connector import PoolTimeoutError
from app.gateway.openai.failures import UpstreamFailure

_EXHAUSTED: Final = frozenset(
    {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL, errno.EAGAIN}
)
"""The operating system's codes for a process or machine without free descriptors, buffers or local ports."""


_FIND_CODING: Final = re.compile(r"can not decode content-encoding: (\w+)", re.IGNORECASE).search
"""aiohttp 3.14 reports a coding that it lacks while it parses the head; it names those it knows alone."""

_LARGE_BYTES: Final = 512 * 1024


def failure_of_exception(  # noqa: PLR0911  one line per kind
    error: BaseException, *, was_reused: bool, sent_bytes: int = 0
) -> UpstreamFailure:
    """Classify what went wrong before the head of a response was there; `sent_bytes` is the size of the body."""
    if isinstance(error, PoolTimeoutError):
        return UpstreamFailure("pool_timeout", reason="no pooled connection became free in time")
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return UpstreamFailure("connect_timeout", reason="no connection in time")
    own = _own_exhaustion(error)
    if own is not None:
        return UpstreamFailure("gateway_resources", reason=own)
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return UpstreamFailure("connect_error", reason=f"the proxy responded with status {error.status}")
    if isinstance(error, aiohttp.ClientProxyConnectionError):
        return UpstreamFailure("connect_error", reason=f"the proxy: {reason_of(error)}")
    if isinstance(error, aiohttp.ClientConnectorError):
        return UpstreamFailure("connect_error", reason=reason_of(error))
    if isinstance(error, aiohttp.ServerDisconnectedError | aiohttp.ClientOSError):
        if sent_bytes > _LARGE_BYTES:
            # A provider that closes on a large body may well serve small ones: no caller may open a breaker by size.
            return UpstreamFailure(
                "size_refused", connection_was_reused=was_reused, reason=f"large body: {reason_of(error)}"
            )
        return UpstreamFailure("connect_error", connection_was_reused=was_reused, reason=reason_of(error))
    if isinstance(error, aiohttp.ClientResponseError):
        return UpstreamFailure("bad_response", reason=_reason_of_head(error.message))
    return UpstreamFailure("connect_error", reason=reason_of(error))


def _reason_of_head(message: str) -> str:
    """Return why the head of a response was refused, by aiohttp's words."""
    coding = _FIND_CODING(message)
    if coding is None:
        return "the head of the response is not valid HTTP"
    return f"the response has the content encoding {coding[1]}, which was not offered and cannot be decoded here"


def reason_of(error: BaseException) -> str:
    """Return why a connection failed: the TLS library's or the operating system's words, else the name of the exception."""
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "the provider closed the connection without a response"
    cause = _innermost(error)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"certificate verify failed: {cause.verify_message}"
    if isinstance(cause, ssl.SSLError):
        return f"TLS: {(cause.reason or type(cause).__name__).replace('_', ' ').lower()}"
    if isinstance(cause, socket.gaierror):
        return f"name resolution: {cause.strerror or 'failed'}"
    if isinstance(cause, OSError) and cause.errno:
        return os.strerror(cause.errno).lower()
    return type(cause).__name__


def _innermost(error: BaseException) -> BaseException:
    """Return what the HTTP client wrapped: its own classes derive from those of the libraries, and lack their attributes."""
    while isinstance(error, aiohttp.ClientError):
        inner = getattr(error, "os_error", None) or getattr(error, "certificate_error", None) or error.__cause__
        if not isinstance(inner, BaseException) or inner is error:
            break
        error = inner
    return error


def _own_exhaustion(error: BaseException) -> str | None:
    """Return what this process has run out of; None where the failure is not its own.

    An error of name resolution does not mention descriptors: one more socket shows whether any are
    left.
    """
    if not isinstance(error, OSError):
        return None
    cause = getattr(error, "os_error", None) or error
    if isinstance(cause, OSError) and cause.errno in _EXHAUSTED and not isinstance(cause, socket.gaierror):
        return os.strerror(cause.errno).lower()
    try:
        socket.socket().close()
    except OSError as exhausted:
        return (exhausted.strerror or "no sockets left").lower()
    return None
