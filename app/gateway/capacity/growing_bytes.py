"""Collects the pieces of a body as one block, so that no body is held twice: as its pieces and as a whole."""

import io
from typing import Final

PIECE_BYTES: Final = 256 * 1024


class GrowingBytes:
    """One body that arrives in pieces; each piece is copied once and then released."""

    # A list of pieces would be held beside the copy that joins them. `BytesIO` grows its block in place
    # where the allocator can, by an eighth at most, and hands it out without a copy.
    __slots__ = ("_block", "size")

    def __init__(self) -> None:
        self._block = io.BytesIO()
        self.size = 0

    def add(self, piece: bytes) -> None:
        """Append a piece."""
        self._block.write(piece)
        self.size += len(piece)

    def take(self) -> bytes:
        """Return the whole; nothing is held afterwards."""
        block, self._block = self._block, io.BytesIO()
        self.size = 0
        return block.getvalue()
