"""Exact-match responses of deterministic requests, in this process.

Input: a key made of the caller, the model and the whole request; a response as bytes. Output: the
same bytes until they expire. It records nothing: the caller records `CacheLookedUp`, in
the scope of its request. `app/store/valkey_cache.py` is the same port behind a server.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from decimal import Decimal

import msgspec

from app.gateway.ports import Clock

MAX_CANONICAL_BYTES = 32 * 1024
"""Of a request that is brought into canonical form, which takes up to 20 ms; larger ones are compared as they were written."""

ENTRY_OVERHEAD_BYTES = 300
"""What an entry takes beside key and value: the objects and the dictionary slot (measured on CPython 3.11, rounded up)."""

# Decimal keeps every digit of a number, so that two different numbers never share a key; the decoder keeps integers of any size.
_DECODER = msgspec.json.Decoder(float_hook=Decimal)
_ENCODER = msgspec.json.Encoder(order="sorted", decimal_format="number")


def cache_key(*, key_id: str, model: str, body: bytes) -> bytes:
    """Return the SHA-256 (32 bytes) of the caller, the public model and the request body in canonical form.

    Canonical: parsed, fields sorted at every level, no white space. Every field counts as it is,
    also `stream`, `user` and those that the gateway does not know. Callers never share responses.
    Raises `msgspec.DecodeError` where the body is not JSON.
    """
    canonical = _ENCODER.encode(_DECODER.decode(body))
    return _digest((b"canonical", key_id.encode(), model.encode(), canonical))


def literal_cache_key(*, key_id: str, model: str, fields: Mapping[str, msgspec.Raw]) -> bytes:
    """Return the SHA-256 of the caller, the public model and the request's fields as they were written, in the order of their names.

    For requests that are too large to be brought into canonical form, or that have none: there
    white space and the order of inner fields count.
    """
    parts: list[bytes | memoryview] = [b"literal", key_id.encode(), model.encode()]
    for name in sorted(fields):
        parts += [name.encode(), memoryview(fields[name])]
    return _digest(parts)


def _digest(parts: Iterable[bytes | memoryview]) -> bytes:
    """Return one SHA-256 of all parts and their lengths."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.digest()


def is_deterministic(*, temperature: object, n: object, stream: object) -> bool:
    """Whether a request with these fields (None: absent) has one response, which the model gives each time.

    The temperature has to be set to 0: providers have other defaults. JSON `false` is no
    number.
    """
    cold = isinstance(temperature, int | float | Decimal) and not isinstance(temperature, bool) and temperature == 0
    one = n is None or (n == 1 and not isinstance(n, bool))
    return cold and one and (stream is None or stream is False)


class MemoryResponseCache:
    """Satisfies `ResponseCache` with a dictionary: least recently used goes first when `max_bytes` are full.

    For one event loop. The bound covers keys, values and `ENTRY_OVERHEAD_BYTES` each.
    """

    is_own = True

    def __init__(self, max_bytes: int, clock: Clock) -> None:
        self._max_bytes = max_bytes
        self._clock = clock
        self._entries: OrderedDict[bytes, tuple[bytes, float]] = OrderedDict()
        self._used_bytes = 0

    def __len__(self) -> int:
        """How many entries are kept, expired ones that were not requested again included."""
        return len(self._entries)

    @property
    def used_bytes(self) -> int:
        """What the entries take, by the measure of the bound."""
        return self._used_bytes

    async def get(self, key: bytes) -> bytes | None:
        """Return the response while it is fresh; an expired one is forgotten."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        value, expires = entry
        if self._clock.monotonic() >= expires:
            self._forget(key)
            return None
        self._entries.move_to_end(key)
        return value

    async def put(self, key: bytes, value: bytes, ttl_seconds: float) -> None:
        """Keep a response; one that is larger than the whole cache, or expires at once, is not kept."""
        if key in self._entries:
            self._forget(key)
        size = _entry_bytes(key, value)
        if ttl_seconds <= 0 or size > self._max_bytes:
            return
        while self._used_bytes + size > self._max_bytes:
            self._forget(next(iter(self._entries)))
        self._entries[key] = (value, self._clock.monotonic() + ttl_seconds)
        self._used_bytes += size

    def _forget(self, key: bytes) -> None:
        value, _ = self._entries.pop(key)
        self._used_bytes -= _entry_bytes(key, value)


def _entry_bytes(key: bytes, value: bytes) -> int:
    return len(key) + len(value) + ENTRY_OVERHEAD_BYTES
