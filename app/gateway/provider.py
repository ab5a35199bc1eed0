"""PROVIDER: one upstream over HTTP, with a connection pool of its own.

Comes in: a ready body and the attempt's trace context. Goes out: the provider's answer from its head on, or `UpstreamFailure` with what
went wrong until there. The caller's own headers never pass through here; the key is ours, from the environment.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from yarl import URL

from app.config import ProviderConfig
from app.gateway.connector import LiveConnector, connection_was_reused
from app.gateway.request_body import Operation
from app.gateway.upstream_failure import UpstreamFailure

PATHS: Final[dict[Operation, str]] = {"chat": "chat/completions", "embeddings": "embeddings"}
USER_AGENT: Final = "gatewayz"

_READ_BUFFER_BYTES: Final = 64 * 1024
# The end of a body follows its last event within a moment; a connection that does not come to it is not worth keeping.
_DRAIN_SECONDS: Final = 1.0
_DRAIN_BYTES: Final = 64 * 1024


class Provider:
    """One provider; belongs to the event loop in which `start` was awaited."""

    def __init__(self, config: ProviderConfig, api_key: str | None) -> None:
        self.config = config
        self.name = config.name
        base = URL(config.base_url.rstrip("/") + "/")
        self.server_address = base.host or ""
        self.server_port = base.port or 0
        self._urls = {operation: base.join(URL(path)) for operation, path in PATHS.items()}
        self._headers = {
            "content-type": "application/json",
            # Compression saves little on answers of a few kilobytes, and holds streamed tokens back.
            "accept-encoding": "identity",
            "user-agent": USER_AGENT,
        }
        if api_key:
            self._headers["authorization"] = f"Bearer {api_key}"
        # Without a total: a stream lasts as long as `Deadlines` allows. `connect` covers waiting for the pool, DNS and TLS.
        self._timeout = aiohttp.ClientTimeout(total=None, connect=config.connect_seconds)
        self._session: aiohttp.ClientSession | None = None
        self._drains: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Open the pool; connects nowhere."""
        self._session = aiohttp.ClientSession(
            connector=LiveConnector(limit=self.config.max_connections, keepalive_timeout=self.config.keepalive_seconds),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=self._timeout,
            read_bufsize=_READ_BUFFER_BYTES,
        )

    async def close(self) -> None:
        """Close every connection."""
        for drain in self._drains:
            drain.cancel()
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def post(
        self, operation: Operation, body: bytes, headers: Mapping[str, str], on_sent: Callable[[], None]
    ) -> aiohttp.ClientResponse:
        """Send one request, once, and return when the head of the answer is there; raises `UpstreamFailure`.

        `on_sent` is called as soon as the body goes out over a connection.
        """
        session = self._session
        if session is None:
            raise UpstreamFailure("connect_error")
        try:
            return await session.post(
                self._urls[operation],
                data=_RequestBody(body, on_sent),
                headers={**self._headers, **headers},
                allow_redirects=False,
            )
        except aiohttp.ConnectionTimeoutError:
            raise UpstreamFailure("connect_timeout") from None
        except aiohttp.ClientConnectorError:
            raise UpstreamFailure("connect_error") from None
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
            raise UpstreamFailure("connect_error", connection_was_reused=connection_was_reused()) from None
        except aiohttp.ClientResponseError:
            # The head of the answer is no HTTP.
            raise UpstreamFailure("bad_response") from None
        except (aiohttp.ClientError, OSError, ValueError):
            raise UpstreamFailure("connect_error") from None

    def recycle(self, response: aiohttp.ClientResponse) -> None:
        """Give back the connection of an answer that was read to its last event, once the end of the body came by."""
        if response.content.at_eof():
            response.release()
            return
        drain = asyncio.create_task(_drain(response))
        self._drains.add(drain)
        drain.add_done_callback(self._drains.discard)


class _RequestBody(aiohttp.BytesPayload):
    """A body that reports when the HTTP client begins to write it."""

    def __init__(self, body: bytes, on_sent: Callable[[], None]) -> None:
        super().__init__(body)
        self._on_sent = on_sent

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        """Write the body."""
        self._on_sent()
        await super().write_with_length(writer, content_length)


async def _drain(response: aiohttp.ClientResponse) -> None:
    """Read what follows the last event, within bounds; the connection is reused only if the body ends there."""
    try:
        async with asyncio.timeout(_DRAIN_SECONDS):
            left = _DRAIN_BYTES
            while left > 0 and (data := await response.content.readany()):
                left -= len(data)
    except (TimeoutError, aiohttp.ClientError, OSError):
        pass
    finally:
        # Closes the connection unless the end of the body was seen.
        response.close() if not response.content.at_eof() else response.release()
