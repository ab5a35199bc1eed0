"""Attributes that many spans share, so that they are encoded once."""

from collections.abc import Hashable, Mapping
from typing import Any, Final

_MAX_KEPT: Final = 2_000
"""More combinations than a configuration has; a bound, so that rare ones cannot fill the memory."""


class KnownAttributes(dict[str, Any]):
    """Attributes that never change. `encoded` is theirs once a span with them has been encoded."""

    __slots__ = ("encoded",)

    def __init__(self, attributes: Mapping[str, Any]) -> None:
        super().__init__(attributes)
        self.encoded: bytes | None = None


class KnownCache:
    """Keeps attributes by what they are made of. Safe from any thread: two may make the same twice."""

    def __init__(self) -> None:
        self._kept: dict[Hashable, KnownAttributes] = {}

    def find(self, key: tuple[Hashable, ...]) -> KnownAttributes | None:
        """Return the attributes for a key, None the first time."""
        return self._kept.get(key)

    def keep(self, key: tuple[Hashable, ...], attributes: Mapping[str, Any]) -> KnownAttributes:
        """Return these attributes, and from now on for this key."""
        if len(self._kept) >= _MAX_KEPT:
            self._kept.clear()
        found = self._kept[key] = KnownAttributes(attributes)
        return found
