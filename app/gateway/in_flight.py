"""The requests in flight, how many there may be, each key's share of them, and how all of them end at shutdown.

Input: each request's arrival, its caller, the size of its body. Output: a `Slot` per request, or
an error. For one event loop.
"""

from typing import Literal, Self, TypeAlias

from app.config.schema import ServerConfig
from app.counted import counted
from app.errors import OverloadedError, RateLimitedError
from app.gateway.cancellation import Interrupt

RETRY_AFTER_SECONDS = 1.0

Share: TypeAlias = Literal["key_concurrency", "key_body_bytes"]


class KeyShareError(RateLimitedError):
    """One key holds its whole share of the slots or of the bytes of request bodies; `share` is the metric's `limit_type`."""

    def __init__(self, message: str, share: Share) -> None:
        super().__init__(message, limit_type=share, retry_after_seconds=RETRY_AFTER_SECONDS)
        self.share: Share = share


class _InUse:
    """What one key's requests hold now."""

    __slots__ = ("body_bytes", "slots")

    def __init__(self) -> None:
        self.slots = 0
        self.body_bytes = 0


class CallsInFlight:
    """The requests in flight. A bound that is None does not apply."""

    def __init__(
        self,
        limit: int,
        *,
        limit_per_key: int | None = None,
        max_body_bytes: int | None = None,
        max_body_bytes_per_key: int | None = None,
    ) -> None:
        self._limit = limit
        self.limit_per_key = limit_per_key
        self._max_body_bytes = max_body_bytes
        self.max_body_bytes_per_key = max_body_bytes_per_key
        self._interrupts: set[Interrupt] = set()
        self._keys: dict[str, _InUse] = {}
        self._body_bytes = 0
        self._stopped = False

    def __len__(self) -> int:
        return len(self._interrupts)

    @property
    def body_bytes(self) -> int:
        """How many bytes of request bodies are held or expected."""
        return self._body_bytes

    def one(self) -> "Slot":
        """Return a slot for one request, held in a `with` block; raises `OverloadedError` when there is none."""
        if self._stopped or len(self._interrupts) >= self._limit:
            raise OverloadedError(
                "The gateway has as many requests in flight as it admits.", retry_after_seconds=RETRY_AFTER_SECONDS
            )
        return Slot(self)

    def hold(self, slot: "Slot") -> None:
        """Begin a request."""
        self._interrupts.add(slot.interrupt)

    def release(self, slot: "Slot") -> None:
        """End a request, and give back what it held."""
        self._interrupts.discard(slot.interrupt)
        self._release(slot)

    def stop(self) -> int:
        """End every request, admit no more, and return how many there were."""
        self._stopped = True
        interrupts = list(self._interrupts)
        for interrupt in interrupts:
            interrupt.fire("shutdown")
        return len(interrupts)

    def claim(self, slot: "Slot", key_id: str) -> None:
        """Count a slot to a key; raises `KeyShareError`."""
        in_use = self._keys.get(key_id)
        if in_use is None:
            in_use = self._keys[key_id] = _InUse()
        if self.limit_per_key is not None and in_use.slots >= self.limit_per_key:
            raise KeyShareError(
                f"This key has {counted(in_use.slots, 'request')} in flight, as many as one key may have at the same time.",
                "key_concurrency",
            )
        in_use.slots += 1
        slot.key_id = key_id

    def hold_body(self, slot: "Slot", size: int) -> None:
        """Hold `size` bytes for a request's body, those that it holds already included; raises when there is no room."""
        more = size - slot.body_bytes
        if more <= 0:
            return
        in_use = self._keys.get(slot.key_id) if slot.key_id is not None else None
        if (
            in_use is not None
            and self.max_body_bytes_per_key is not None
            and in_use.body_bytes + more > self.max_body_bytes_per_key
        ):
            raise KeyShareError(
                f"This key's request bodies in flight are over its share of {self.max_body_bytes_per_key} bytes.",
                "key_body_bytes",
            )
        if self._max_body_bytes is not None and self._body_bytes + more > self._max_body_bytes:
            raise OverloadedError(
                "The gateway holds as many bytes of request bodies as it admits.",
                retry_after_seconds=RETRY_AFTER_SECONDS,
            )
        slot.body_bytes = size
        self._body_bytes += more
        if in_use is not None:
            in_use.body_bytes += more

    def _release(self, slot: "Slot") -> None:
        """Give back what a request held."""
        self._body_bytes -= slot.body_bytes
        if slot.key_id is None:
            return
        in_use = self._keys[slot.key_id]
        in_use.slots -= 1
        in_use.body_bytes -= slot.body_bytes
        if in_use.slots == 0:
            del self._keys[slot.key_id]


class Slot:
    """One request's slot. Used by the request's task."""

    __slots__ = ("_calls", "body_bytes", "interrupt", "key_id")

    def __init__(self, calls: CallsInFlight) -> None:
        self.interrupt = Interrupt()
        self.key_id: str | None = None
        self.body_bytes = 0
        self._calls = calls

    def __enter__(self) -> Self:
        self._calls.hold(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._calls.release(self)

    def claim(self, key_id: str, declared_body_bytes: int) -> None:
        """Count the slot, and the body that the request declares, to a key; raises `KeyShareError` or `OverloadedError`."""
        self._calls.claim(self, key_id)
        self._calls.hold_body(self, declared_body_bytes)

    def hold_body(self, size: int) -> None:
        """Hold room for a body of `size` bytes in all; raises `KeyShareError` or `OverloadedError`."""
        if size > self.body_bytes:
            self._calls.hold_body(self, size)


def calls_in_flight(server: ServerConfig, max_connections: int) -> CallsInFlight:
    """Return the bounds of `server`; a key's share that is not configured is one half, of the connections where those are fewer."""
    slots = min(server.max_concurrent_requests, max_connections)
    in_flight = server.max_body_bytes_in_flight
    return CallsInFlight(
        server.max_concurrent_requests,
        limit_per_key=server.max_concurrent_requests_per_key or max(1, slots // 2),
        max_body_bytes=in_flight,
        max_body_bytes_per_key=server.max_body_bytes_in_flight_per_key or max(server.max_body_bytes, in_flight // 2),
    )


def most_strangers(server: ServerConfig) -> int:
    """Return how many requests whose key was not valid lately may wait for its lookup: each holds a slot, and costs its sender nothing.

    It is more than one key's share, so that a key may begin with all of it at once.
    """
    return max(1, server.max_concurrent_requests * 3 // 4)
