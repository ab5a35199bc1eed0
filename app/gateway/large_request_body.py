"""Sends a large request body to a provider in pieces, so that no second copy of it is held while it goes out.

Input: the body's parts, views of what the caller sent among them. For one connection at a time; an
attempt makes its own.
"""

from collections.abc import Sequence
from typing import Final

from aiohttp.abc import AbstractStreamWriter
from aiohttp.payload import Payload

LARGE_BODY_BYTES: Final = 256 * 1024

_PIECE_BYTES: Final = 64 * 1024


class LargeRequestBody(Payload):
    """The parts as one body; its `size` becomes the Content-Length."""

    # There is nothing to close.
    _autoclose = True

    def __init__(self, parts: Sequence[bytes | memoryview]) -> None:
        super().__init__(parts, content_type="application/json")
        self._parts = [memoryview(part) for part in parts]
        self._size = sum(part.nbytes for part in self._parts)

    def __len__(self) -> int:
        return self._size or 0

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Return the body as text."""
        return b"".join(self._parts).decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Write it; waits while the provider is slow to take it."""
        for part in self._parts:
            for start in range(0, part.nbytes, _PIECE_BYTES):
                await writer.write(bytes(part[start : start + _PIECE_BYTES]))
