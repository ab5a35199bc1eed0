"""The response cache in a Valkey or Redis server, shared by processes and hosts.

A server that is unavailable, slow or full is a miss (`app/store/valkey_server.py`). The server's own
`maxmemory` bounds the memory. The caller records `CacheLookedUp`.
"""

from app.gateway.ports import Clock
from app.store.valkey_server import OPERATION_SECONDS, ValkeyServer, open_valkey_server

_KEY_PREFIX = b"gatewayz:response:"


class ValkeyResponseCache:
    """Satisfies `ResponseCache`. For one event loop; `close` it at the end."""

    is_own = False

    def __init__(self, server: ValkeyServer) -> None:
        self._server = server

    async def get(self, key: bytes) -> bytes | None:
        """Return the stored response, or None."""
        value = await self._server.attempt(lambda: self._server.client.get(_KEY_PREFIX + key))
        return value if isinstance(value, bytes) else None

    async def put(self, key: bytes, value: bytes, ttl_seconds: float) -> None:
        """Store a response for `ttl_seconds`, in whole milliseconds; below one it is not stored."""
        ttl_ms = round(ttl_seconds * 1_000)
        if ttl_ms > 0:
            await self._server.attempt(lambda: self._server.client.set(_KEY_PREFIX + key, value, px=ttl_ms))

    async def is_available(self) -> bool:
        """Ping the server, also while it is skipped. For readiness."""
        return await self._server.is_available()

    async def close(self) -> None:
        """Close the connections."""
        await self._server.close()


def open_valkey_cache(url: str, clock: Clock, *, operation_seconds: float = OPERATION_SECONDS) -> ValkeyResponseCache:
    """Create the cache without connecting; raises what `open_valkey_server` raises."""
    return ValkeyResponseCache(
        open_valkey_server(
            url,
            clock,
            use="response cache",
            consequence="every lookup is a miss",
            operation_seconds=operation_seconds,
        )
    )
