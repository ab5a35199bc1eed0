"""Sends a small request to one URL of a provider over the pool, with a head that is made once.

aiohttp's session works out the URL, the headers, cookies, proxies and redirects of each request again, which takes as
long as all else of an attempt. Here the same classes do the work below it: pool, TLS, writing side, parser, response.
What is not a small body sent directly to the provider goes through the session.
"""

import asyncio
import re
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Final, cast

import aiohttp
from aiohttp import ClientOSError, ClientRequest, ClientResponse, ClientTimeout, hdrs
from aiohttp.abc import AbstractStreamWriter
from aiohttp.client_reqrep import ConnectionKey
from aiohttp.connector import Connection
from aiohttp.helpers import TimerNoop
from yarl import URL

from app.gateway.connector import LiveConnector

AT_ONCE_BYTES: Final = 32 * 1024
"""The kernel nearly always takes so much at once. Of a larger body the provider may be slow to take the rest."""

NO_TIMEOUT: Final = ClientTimeout(total=None, connect=None, sock_connect=None)
"""The connector bounds the wait for a connection, and the attempt's deadlines everything after it."""

_FORBIDDEN: Final = re.compile("[\r\n\0]")
_NO_TIMER: Final = TimerNoop()


class PreparedRequest:
    """The requests of one operation at one provider. `parameters` are those of the parser of each response."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        connector: LiveConnector,
        url: URL,
        *,
        headers: Mapping[str, str],
        parameters: Mapping[str, Any],
    ) -> None:
        self._session = session
        self._connector = connector
        self._url = url
        self._loop = loop = asyncio.get_running_loop()
        self._parameters = parameters
        self._target = target = _Target("POST", url, headers=headers, loop=loop, session=session)
        self._request_info = target.request_info
        fields = {name: value for name, value in target.headers.items() if name != hdrs.CONTENT_LENGTH}
        if connector.force_close and hdrs.CONNECTION not in target.headers:
            fields[hdrs.CONNECTION] = "close"
        self._names = frozenset(name.lower() for name in fields) | {"content-length"}
        self._is_usable = not (url.user or url.password or _FORBIDDEN.search("".join(fields.values())))
        lines = [f"POST {url.raw_path_qs} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
        self._head = "\r\n".join([*lines, "Content-Length: "]).encode()

    def takes(self, headers: Mapping[str, str]) -> bool:
        """Whether requests with these headers beside the usual ones can be sent; names are in lower case."""
        if not headers:
            return self._is_usable
        is_safe = self._names.isdisjoint(headers) and not _FORBIDDEN.search("".join(headers.values()))
        return self._is_usable and is_safe

    async def send(self, body: bytes, headers: Mapping[str, str]) -> ClientResponse:
        """Send one request in one write; return once the head of the response has arrived.

        Raises what a session raises: `aiohttp.ClientError`.
        """
        try:
            connection = await self._connector.connect(self._target, [], NO_TIMEOUT)
        except aiohttp.ClientError:
            raise
        except TimeoutError as error:
            raise aiohttp.ConnectionTimeoutError(f"Connection timeout to host {self._url}") from error
        except OSError as error:
            raise ClientOSError(*error.args) from error
        try:
            return await self._exchange(connection, body, headers)
        except BaseException:
            connection.close()
            raise

    async def _exchange(self, connection: Connection, body: bytes, headers: Mapping[str, str]) -> ClientResponse:
        """Write the request, and wait for the head of the response."""
        protocol = connection.protocol
        transport = None if protocol is None else protocol.transport
        if protocol is None or transport is None or transport.is_closing():
            raise ClientOSError("Cannot write to closing transport")
        protocol.set_response_params(timer=_NO_TIMER, **self._parameters)
        more = "".join([f"\r\n{name}: {value}" for name, value in headers.items()]).encode() if headers else b""
        transport.write(b"%b%d%b\r\n\r\n%b" % (self._head, len(body), more, body))
        protocol.start_timeout()
        response = ClientResponse(
            "POST",
            self._url,
            writer=None,
            continue100=None,
            timer=_NO_TIMER,
            request_info=self._request_info,
            traces=[],
            loop=self._loop,
            session=self._session,
            stream_writer=_WRITTEN,
        )
        try:
            return await response.start(connection)
        except BaseException:
            response.close()
            raise


class _Target(ClientRequest):
    """What the pool needs to know of a request: where it goes."""

    @cached_property
    def connection_key(self) -> ConnectionKey:
        """The key of its connections in the pool."""
        return super().connection_key


class _Written:
    """Stands for the writing side of a request that has been written."""

    output_size = 0


_WRITTEN: Final = cast("AbstractStreamWriter", _Written())
