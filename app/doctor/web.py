"""Sends one request to one server within a bounded time, and never raises.

Each `Response` also holds how far the server's clock (its `Date` header) is from the local one.
"""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import Any, Final, Self, TypeAlias, TypeVar

import aiohttp
import msgspec

T = TypeVar("T")

MAX_BODY_BYTES: Final = 32 * 1024 * 1024
_DATE_TRUNCATION_SECONDS: Final = 0.5
"""A `Date` header has whole seconds: on average it is half a second old when it is made."""


def read_json(body: bytes, shape: type[T]) -> T | None:
    """Return a decoded body; None where it is not JSON of this shape."""
    try:
        return msgspec.json.decode(body, type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """A server's response. `skew_seconds`: its clock minus the local one; None where it sent no date."""

    status: int
    body: bytes
    headers: Mapping[str, str]
    skew_seconds: float | None

    @property
    def text(self) -> str:
        """The body."""
        return self.body.decode(errors="replace")

    def read(self, shape: type[T]) -> T | None:
        """Return the decoded body; None where it is not JSON of this shape."""
        return read_json(self.body, shape)


class NoResponse(msgspec.Struct, frozen=True):
    """There was no response, and why."""

    reason: str


Reply: TypeAlias = Response | NoResponse


class Web:
    """An HTTP client for one event loop, to be used as a context manager. `timeout_seconds` bounds each request."""

    def __init__(self, timeout_seconds: float, *, unix_seconds: Callable[[], float] = time.time) -> None:
        self._timeout_seconds = timeout_seconds
        self._unix_seconds = unix_seconds
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        # A connection of its own for each request: one that a server closed in between must not look like an outage.
        connector = aiohttp.TCPConnector(force_close=True)
        timeout = aiohttp.ClientTimeout(total=self._timeout_seconds)
        self._session = aiohttp.ClientSession(connector=connector, timeout=timeout)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def get(
        self,
        url: str,
        *,
        params: Mapping[str, str] | Sequence[tuple[str, str]] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Send a GET."""
        return await self._send("GET", url, params=params, headers=headers)

    async def post(self, url: str, *, json: Any, headers: Mapping[str, str] | None = None) -> Reply:
        """Send JSON."""
        return await self._send("POST", url, json=json, headers=headers)

    async def _send(self, method: str, url: str, **arguments: Any) -> Reply:
        if self._session is None:
            raise RuntimeError("Web is used as a context manager")
        began = self._unix_seconds()
        try:
            async with self._session.request(method, url, allow_redirects=False, **arguments) as response:
                head = self._unix_seconds()
                body = await response.content.read(MAX_BODY_BYTES)
                while not response.content.at_eof() and len(body) < MAX_BODY_BYTES:
                    body += await response.content.read(MAX_BODY_BYTES - len(body))
                return Response(
                    status=response.status,
                    body=body,
                    headers={key.lower(): value for key, value in response.headers.items()},
                    skew_seconds=_skew_seconds(response.headers.get("date"), (began + head) / 2),
                )
        except TimeoutError:
            return NoResponse(f"no response within {self._timeout_seconds:g} s")
        except aiohttp.ClientConnectorError as error:
            return NoResponse(_connect_reason(error.os_error))
        except (aiohttp.ClientError, ValueError, OSError) as error:
            return NoResponse(f"{type(error).__name__}: {error}".rstrip(": "))


def _connect_reason(error: OSError) -> str:
    """Return the system's words: asyncio's name the call instead of the cause."""
    return f"no connection: {os.strerror(error.errno) if error.errno and error.errno > 0 else error}"


def _skew_seconds(date: str | None, unix_seconds: float) -> float | None:
    try:
        return parsedate_to_datetime(date or "").timestamp() + _DATE_TRUNCATION_SECONDS - unix_seconds
    except ValueError:
        return None
