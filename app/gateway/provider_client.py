"""One provider over HTTP, with a connection pool of its own.

Input: a ready body and the attempt's trace context. Output: the provider's response from its head
on, or `UpstreamFailure` for what fails before that. The caller's headers are never sent;
the key is the gateway's, from the environment.
"""

import asyncio
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Final

import aiohttp

from app.config.schema import ProviderConfig
from app.gateway.connector import WATCH, ConnectionWatch, LiveConnector
from app.gateway.large_request_body import LargeRequestBody
from app.gateway.lazy_timers import LazyTimers
from app.gateway.openai.failures import UpstreamFailure
from app.gateway.openai.request import Operation
from app.gateway.overhead import OverheadTimer
from app.gateway.prepared_request import AT_ONCE_BYTES, NO_TIMEOUT, PreparedRequest
from app.gateway.provider_endpoint import HEADER_BOUNDS, ProviderEndpoint, ProviderSecrets
from app.gateway.provider_request import ProviderRequest
from app.gateway.transport_failure import failure_of_exception

PATHS: Final[dict[Operation, str]] = {"chat": "chat/completions", "embeddings": "embeddings"}

# As int: comparing with the enum member costs 0.5 µs for each attempt.
_PROXY_AUTHENTICATION: Final = int(HTTPStatus.PROXY_AUTHENTICATION_REQUIRED)
_REQUEST_TIMEOUT: Final = int(HTTPStatus.REQUEST_TIMEOUT)
_READ_BUFFER_BYTES: Final = 8 * 1024
"""No more is read while twice as much is unread. The pieces that are read have the same size."""

# A body normally ends right after its last event; a connection on which it does not is closed.
_DRAIN_SECONDS: Final = 1.0
_DRAIN_BYTES: Final = 64 * 1024


class Provider:
    """One provider; belongs to the event loop in which `start` was awaited."""

    def __init__(self, config: ProviderConfig, secrets: ProviderSecrets | str | None) -> None:
        if not isinstance(secrets, ProviderSecrets):
            secrets = ProviderSecrets(api_key=secrets)
        self.config = config
        self.name = config.name
        self.has_key = bool(secrets.api_key)
        self._endpoint = endpoint = ProviderEndpoint(config, secrets)
        self.scrub = endpoint.scrub
        self.server_address = endpoint.host
        self.server_port = endpoint.port
        self._urls = {operation: endpoint.url(path) for operation, path in PATHS.items()}
        self._headers = {"content-type": "application/json", **endpoint.headers}
        self._refuses_stream_options: set[str] = set()
        self._session: aiohttp.ClientSession | None = None
        self._prepared: dict[Operation, PreparedRequest] = {}
        self.timers = LazyTimers()
        self._drains: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Open the pool; connects nowhere."""
        connector = LiveConnector(
            limit=self.config.max_connections,
            keepalive_timeout=self.config.keepalive_seconds,
            pool_wait_seconds=self.config.pool_wait_seconds,
            connect_seconds=self.config.connect_seconds,
        )
        self._session = session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=NO_TIMEOUT,
            read_bufsize=_READ_BUFFER_BYTES,
            request_class=ProviderRequest,
            **HEADER_BOUNDS,
        )
        if self._endpoint.proxy is None:
            parser = {"read_until_eof": True, "read_bufsize": _READ_BUFFER_BYTES, **HEADER_BOUNDS}
            self._prepared = {
                operation: PreparedRequest(session, connector, url, headers=self._headers, parameters=parser)
                for operation, url in self._urls.items()
            }

    async def close(self) -> None:
        """Close every connection."""
        for drain in self._drains:
            drain.cancel()
        session, self._session = self._session, None
        self._prepared = {}
        if session is not None:
            await session.close()
        self.timers.close()

    def takes_stream_options(self, upstream_model: str) -> bool:
        """Whether `stream_options` may be sent: not where the configuration turns it off, or the model's target has refused it."""
        return self.config.stream_options and upstream_model not in self._refuses_stream_options

    def remember_refusal(self, upstream_model: str) -> None:
        """Send no `stream_options` to this target from now on; `upstream_model` is a configured name, so the set is bounded."""
        self._refuses_stream_options.add(upstream_model)

    async def post(
        self,
        operation: Operation,
        body: bytes | LargeRequestBody,
        headers: Mapping[str, str],
        *,
        on_connected: Callable[[], None],
        timer: OverheadTimer,
        must_be_fresh: bool = False,
    ) -> aiohttp.ClientResponse:
        """Send one request, once, and return when the head of the response has arrived; raises `UpstreamFailure`.

        `on_connected` is called when the request has its connection; `must_be_fresh`: not a pooled
        one. `timer` leaves out what is waited for.
        """
        session = self._session
        if session is None:
            raise UpstreamFailure("connect_error", reason="the gateway is stopping")
        watch = ConnectionWatch(on_connected, timer, must_be_fresh=must_be_fresh)
        token = WATCH.set(watch)
        prepared = self._prepared.get(operation)
        try:
            if prepared is not None and type(body) is bytes and len(body) <= AT_ONCE_BYTES and prepared.takes(headers):
                response = await prepared.send(body, headers)
            else:
                response = await session.post(
                    self._urls[operation],
                    data=body,
                    headers={**self._headers, **headers},
                    allow_redirects=False,
                    **self._endpoint.request_options,
                )
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise failure_of_exception(error, was_reused=watch.was_reused, sent_bytes=len(body)) from None
        finally:
            WATCH.reset(token)
        if response.status == _PROXY_AUTHENTICATION and self._endpoint.proxy is not None:
            response.close()
            raise UpstreamFailure("connect_error", reason="the proxy requires credentials (407)")
        if response.status == _REQUEST_TIMEOUT and watch.was_reused and _closes(response):
            # RFC 9110, 15.5.9: the server gives up an idle connection, and the request may be sent again on another.
            response.close()
            raise UpstreamFailure(
                "connect_error", connection_was_reused=True, reason="the provider closed an idle connection (408)"
            )
        return response

    def recycle(self, response: aiohttp.ClientResponse) -> None:
        """Return the connection to the pool after the last event of a response, once the body has ended."""
        if response.content.at_eof():
            if not response.closed:
                response.release()
            return
        drain = asyncio.create_task(_drain(response))
        self._drains.add(drain)
        drain.add_done_callback(self._drains.discard)


def _closes(response: aiohttp.ClientResponse) -> bool:
    """Whether a response says that its connection ends with it."""
    return "close" in response.headers.get("connection", "").lower()


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
