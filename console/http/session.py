"""Exchanges the console's token for a cookie that no script can read and no other site can send.

The cookie holds its end and a signature with a key that is derived from the token: it survives a
restart of the console, and ends when the token changes.
"""

import hmac
from collections import deque
from collections.abc import Callable, Mapping
from hashlib import sha256
from http import HTTPStatus
from typing import Final

from console.http.bearer import presents_bearer
from console.http.responses import Headers, ProblemError

COOKIE: Final = b"gatewayz_console"
SESSION_SECONDS: Final = 12 * 3_600
MAX_FAILURES: Final = 10
FAILURE_SECONDS: Final = 60
_MAX_DIGITS: Final = 12


class Sessions:
    """For one token. `unix_s` is the wall clock in seconds. Used on the event loop's thread."""

    def __init__(self, token: str, unix_s: Callable[[], float]) -> None:
        self._token = token.encode()
        self._key = hmac.digest(self._token, b"gatewayz console session", "sha256")
        self._unix_s = unix_s
        self._failures: deque[float] = deque(maxlen=MAX_FAILURES)

    def accepts(self, headers: Mapping[bytes, bytes]) -> bool:
        """Return whether a request presents the token or a valid cookie."""
        return presents_bearer(headers, self._token) or self._is_valid(_cookie(headers.get(b"cookie", b"")))

    def open(self, token: str, *, is_secure: bool) -> Headers:
        """Return the header with a new cookie; raises 401 for a wrong token, 429 after many of them."""
        now_s = self._unix_s()
        if len(self._failures) == MAX_FAILURES and now_s - self._failures[0] < FAILURE_SECONDS:
            raise ProblemError(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"Too many wrong tokens. Wait {FAILURE_SECONDS} seconds.",
                {"Retry-After": str(FAILURE_SECONDS)},
            )
        if not hmac.compare_digest(token.encode(), self._token):
            self._failures.append(now_s)
            raise ProblemError(HTTPStatus.UNAUTHORIZED, "The token is wrong.")
        end = b"%d" % (int(now_s) + SESSION_SECONDS)
        return _set_cookie(end + b"." + self._signature(end), SESSION_SECONDS, is_secure=is_secure)

    def _is_valid(self, value: bytes) -> bool:
        end, _, signature = value.partition(b".")
        if not end.isdigit() or len(end) > _MAX_DIGITS or not hmac.compare_digest(signature, self._signature(end)):
            return False
        return self._unix_s() < int(end)

    def _signature(self, end: bytes) -> bytes:
        return hmac.new(self._key, end, sha256).hexdigest().encode()


def closing_cookie(*, is_secure: bool) -> Headers:
    """Return the header that removes the cookie."""
    return _set_cookie(b"", 0, is_secure=is_secure)


def _set_cookie(value: bytes, seconds: int, *, is_secure: bool) -> Headers:
    attributes = b"; Path=/; HttpOnly; SameSite=Strict; Max-Age=%d" % seconds
    return ((b"set-cookie", COOKIE + b"=" + value + attributes + (b"; Secure" if is_secure else b"")),)


def _cookie(header: bytes) -> bytes:
    """Return the value of the console's cookie; empty without one."""
    for pair in header.split(b";"):
        name, _, value = pair.strip().partition(b"=")
        if name == COOKIE:
            return value
    return b""
