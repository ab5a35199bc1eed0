"""Attributes of the product's own spans: those that many spans share, and those whose values differ.

What is shared is encoded once. Of what differs, a span stores the values alone; a mapping is made
of them where something reads it.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, Final, TypeAlias

_MAX_KEPT: Final = 2_000
"""More combinations than a configuration has; a bound, so that rare ones cannot fill the memory."""


class KnownAttributes(dict[str, Any]):
    """Attributes that never change. `encoded` is theirs once a span with them has been encoded.

    `span_name` is the name of the spans that start with them, where it follows from them. `shapes` belongs to the
    encoder of spans that end with them: it holds what such spans share, by the identity of those that they start with.
    """

    __slots__ = ("encoded", "shapes", "span_name")

    def __init__(self, attributes: Mapping[str, Any], span_name: str = "") -> None:
        super().__init__(attributes)
        self.encoded: bytes | None = None
        self.shapes: dict[int, Any] = {}
        self.span_name = span_name


class VaryingKeys:
    """The keys of values that differ from span to span. A value None stands for an attribute that a span lacks.

    `encoders` holds for each combination of types what encodes the values, in their order: there are
    few, because the keys' values have one type or are None.
    """

    __slots__ = ("encoders", "keys")

    def __init__(self, *keys: str) -> None:
        self.keys = keys
        self.encoders: dict[tuple[type, ...], tuple[Callable[[Any], bytes], ...]] = {}

    def mapping(self, values: Sequence[Any]) -> dict[str, Any]:
        """Return the attributes that have a value."""
        return {key: value for key, value in zip(self.keys, values, strict=True) if value is not None}


Varying: TypeAlias = tuple[VaryingKeys, tuple[Any, ...]]
"""Keys and their values on one span, which the SDK would store unchanged."""


class KnownCache:
    """Keeps attributes by what they are made of. Safe from any thread: two may make the same twice."""

    def __init__(self) -> None:
        self._kept: dict[Hashable, KnownAttributes] = {}
        self.find: Callable[[Hashable], KnownAttributes | None] = self._kept.get
        """Returns the attributes for a key, None the first time."""

    def keep(self, key: Hashable, attributes: Mapping[str, Any], span_name: str = "") -> KnownAttributes:
        """Return these attributes, and from now on for this key."""
        if len(self._kept) >= _MAX_KEPT:
            self._kept.clear()
        found = self._kept[key] = KnownAttributes(attributes, span_name)
        return found
