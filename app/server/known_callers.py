"""Recognizes a caller by the first bytes of a request, before its turn and before its head is parsed.

A guess that chooses where the request waits, and nothing else: the key is checked when the request is
served. So callers on new connections, and those behind one proxy, do not wait for each other.
"""

import hashlib
import re
from collections import OrderedDict
from typing import Final

_MOST_CALLERS: Final = 10_000
_DIGEST_BYTES: Final = 16
_FIND_CREDENTIALS: Final = re.compile(rb"\n(?:authorization:[ \t]*([^\r\n]*)\r?\n|(\r?\n))", re.IGNORECASE).search
"""The value of the first `Authorization` field, or the end of the head where there is none before it."""


class KnownCallers:
    """The keys that were used last, by a digest of their credentials; on the event loop."""

    def __init__(self, most: int = _MOST_CALLERS) -> None:
        self._most = most
        self._key_ids: OrderedDict[bytes, str] = OrderedDict()

    def remember(self, credentials: bytes, key_id: str) -> None:
        """A request with this `Authorization` field had a valid key; the one that was used least recently may be forgotten."""
        digest = _digest(credentials)
        self._key_ids[digest] = key_id
        self._key_ids.move_to_end(digest)
        if len(self._key_ids) > self._most:
            self._key_ids.popitem(last=False)

    def key_id_of(self, start: bytes) -> str | None:
        """Return the public id of the key of a request that begins with `start`; None where it is not known."""
        found = _FIND_CREDENTIALS(start)
        if found is None or found[1] is None:
            return None
        return self.key_id_of_credentials(found[1])

    def key_id_of_credentials(self, credentials: bytes) -> str | None:
        """Return the public id of the key of a request with this `Authorization` field; None where it is not known."""
        return self._key_ids.get(_digest(credentials))


def _digest(credentials: bytes) -> bytes:
    return hashlib.blake2b(credentials.strip(), digest_size=_DIGEST_BYTES).digest()
