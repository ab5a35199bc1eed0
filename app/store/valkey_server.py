"""A Valkey or Redis server that may be unavailable, slow or full: an operation fails nothing and is bounded in time.

It delays none for longer than `operation_seconds`; after a failure the server is skipped for
`rest_seconds`.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from app.config.load import ConfigError
from app.gateway.ports import Clock

if TYPE_CHECKING:
    from redis.asyncio import Redis

T = TypeVar("T")

_LOGGER = logging.getLogger(__name__)
_MAX_CONNECTIONS = 64
OPERATION_SECONDS = 0.25
_NO_URL = "cache.url: not a URL of a Valkey or Redis server, as in redis://host:6379/0"


class ValkeyServer:
    """For one event loop; `close` it at the end. `use` and `consequence` are for the log: what it is for, and what fails with it."""

    def __init__(
        self,
        client: "Redis",
        clock: Clock,
        *,
        use: str,
        consequence: str,
        operation_seconds: float = OPERATION_SECONDS,
        rest_seconds: float = 1.0,
    ) -> None:
        self.client = client
        self._clock = clock
        self._use = use
        self._consequence = consequence
        self._operation_seconds = operation_seconds
        self._rest_seconds = rest_seconds
        self._resting_until = float("-inf")
        self._is_failing = False

    async def attempt(self, operation: Callable[[], Awaitable[T]]) -> T | None:
        """Return the result of an operation; None where it failed or the server is skipped."""
        if self._clock.monotonic() < self._resting_until:
            return None
        try:
            async with asyncio.timeout(self._operation_seconds):
                result = await operation()
        except Exception as error:  # noqa: BLE001  a broken server fails no request, whatever the driver raises
            self._note_failure(error)
            return None
        if self._is_failing:
            self._is_failing = False
            _LOGGER.warning("%s: the server responds again", self._use)
        return result

    async def is_available(self) -> bool:
        """Ping the server, also while it is skipped. For readiness."""
        try:
            async with asyncio.timeout(self._operation_seconds):
                await self.client.ping()
        except Exception:  # noqa: BLE001  whatever the driver raises, the server is unavailable
            return False
        return True

    async def close(self) -> None:
        """Close the connections."""
        await self.client.aclose()

    def _note_failure(self, error: Exception) -> None:
        self._resting_until = self._clock.monotonic() + self._rest_seconds
        if not self._is_failing:
            self._is_failing = True
            _LOGGER.warning("%s: the server fails, %s: %s", self._use, self._consequence, _reason(error))


def open_valkey_server(
    url: str, clock: Clock, *, use: str, consequence: str, operation_seconds: float = OPERATION_SECONDS
) -> ValkeyServer:
    """Create the client without connecting; raises `ConfigError` without the driver, or for a URL that it does not take.

    `valkey://` and `valkeys://` (TLS) are `redis://` and `rediss://` by another name.
    """
    try:
        from redis.asyncio import BlockingConnectionPool, Redis  # noqa: PLC0415  installed with `production` only
        from redis.asyncio.retry import Retry  # noqa: PLC0415  likewise
        from redis.backoff import NoBackoff  # noqa: PLC0415  likewise
    except ImportError as error:
        raise ConfigError("cache.url needs the package redis: install the extra `production`") from error
    try:
        pool = BlockingConnectionPool.from_url(
            "redis" + url.removeprefix("valkey") if url.startswith("valkey") else url,
            max_connections=_MAX_CONNECTIONS,
            timeout=operation_seconds,
            socket_timeout=operation_seconds,
            socket_connect_timeout=operation_seconds,
            retry=Retry(NoBackoff(), 0),  # the next request is the retry
            protocol=2,  # every server speaks it, and connecting takes no handshake
            driver_info=None,
        )
    except ValueError:
        raise ConfigError(_NO_URL) from None
    if urlsplit(url).port == 0:  # redis would take its own default
        raise ConfigError(_NO_URL)
    return ValkeyServer(
        Redis.from_pool(pool), clock, use=use, consequence=consequence, operation_seconds=operation_seconds
    )


def _reason(error: Exception) -> str:
    return " ".join(f"{type(error).__name__} {error}".split())
