"""Chooses the format and the coding of a response, by RFC 9110 (sections 12.4.2, 12.5.1, 12.5.3).

A scrape is never refused: a client that accepts nothing on offer gets text 0.0.4, as from other
Prometheus targets. Only `MAX_HEADER_CHARACTERS` and `MAX_ELEMENTS` of a header are read, and the
work is linear in them.
"""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Final

import msgspec


class Format(StrEnum):
    """The two text formats."""

    TEXT = "text/plain"
    OPENMETRICS = "application/openmetrics-text"


class MediaType(msgspec.Struct, frozen=True):
    """A format as a response declares it.

    Versions of a format differ in the header only, because all names are ASCII.
    """

    format: Format
    version: str
    escaping: str = ""

    @property
    def content_type(self) -> str:
        """The value of Content-Type."""
        escaping = f"; escaping={self.escaping}" if self.escaping else ""
        return f"{self.format}; version={self.version}; charset=utf-8{escaping}"


TEXT_0_0_4: Final = MediaType(Format.TEXT, "0.0.4")
OPENMETRICS_1_0_0: Final = MediaType(Format.OPENMETRICS, "1.0.0")

MAX_HEADER_CHARACTERS: Final = 4_096
"""How much of a header is read. Prometheus sends some 400 characters, browsers 150."""

MAX_ELEMENTS: Final = 64
"""How many elements of a header are read."""

_VERSIONS: Final[Mapping[Format, tuple[str, ...]]] = {
    Format.TEXT: ("0.0.4", "1.0.0"),
    Format.OPENMETRICS: ("1.0.0", "0.0.1"),
}
"""What a client may request by `version=`; the first is the default.

Text 1.0.0 differs from 0.0.4 in quoted names only.
"""

_UNDERSCORES: Final = "underscores"
"""The escaping that is declared to a client that sent an `escaping` parameter.

ASCII names need none.
"""


class _Range(msgspec.Struct, frozen=True):
    """One element of an Accept or Accept-Encoding header."""

    name: str
    parameters: Mapping[str, str]
    quality: float


class _Match(msgspec.Struct, frozen=True):
    """A range that covers a format.

    The more specific range wins, then the higher `q`, then the earlier one.
    """

    specificity: int
    quality: float
    earliness: int
    media_type: MediaType

    @property
    def rank(self) -> tuple[int, float, int]:
        return self.specificity, self.quality, self.earliness


def negotiate_media_type(accept: str | None) -> MediaType:
    """Return the format with the highest `q`, then the more specific, then the earlier range.

    A format's `q` is that of the most specific range that covers it, so `text/plain;q=0, */*`
    requests OpenMetrics.
    """
    defaults = (TEXT_0_0_4, OPENMETRICS_1_0_0)
    best: dict[Format, _Match] = {}
    for position, element in enumerate(_elements(accept or "")):
        for default in defaults:
            media_type = _offer(element, default)
            if media_type is None:
                continue
            match = _Match(_specificity(element), element.quality, -position, media_type)
            if default.format not in best or match.rank > best[default.format].rank:
                best[default.format] = match
    offers: list[tuple[float, int, int, MediaType]] = []
    for preference, default in enumerate(defaults):
        if (found := best.get(default.format)) is not None and found.quality > 0:
            # The order of the header decides between named types, the order of `defaults` between
            # types under wildcards.
            rank = found.earliness if found.specificity > 1 else -MAX_ELEMENTS - preference
            offers.append((found.quality, found.specificity, rank, found.media_type))
    return max(offers, key=lambda offer: offer[:3])[3] if offers else TEXT_0_0_4


def accepts_gzip(accept_encoding: str | None) -> bool:
    """Whether gzip is acceptable and its `q` is not below that of no coding."""
    qualities: dict[str, float] = {}
    for element in _elements(accept_encoding or ""):
        qualities.setdefault("gzip" if element.name == "x-gzip" else element.name, element.quality)
    gzip = qualities.get("gzip", qualities.get("*", 0.0))
    return gzip > 0 and gzip >= qualities.get("identity", 0.0)


def _offer(element: _Range, default: MediaType) -> MediaType | None:
    """Return the version of the format that `element` requests.

    None where it does not cover the format.
    """
    main_type, _, _ = default.format.partition("/")
    if element.name in {"*/*", f"{main_type}/*"}:
        return default
    version = element.parameters.get("version", default.version)
    if element.name != default.format or version not in _VERSIONS[default.format]:
        return None
    escaping = _UNDERSCORES if "escaping" in element.parameters and version == "1.0.0" else ""
    return MediaType(default.format, version, escaping)


def _specificity(element: _Range) -> int:
    """Return 0 for `*/*`, 1 for `text/*`, 2 for a type."""
    return 0 if element.name == "*/*" else 1 if element.name.endswith("/*") else 2


def _elements(header: str) -> Iterator[_Range]:
    """Parse the beginning of a comma-separated header.

    An element with a malformed `q` is ignored.
    """
    parts = header[:MAX_HEADER_CHARACTERS].split(",", MAX_ELEMENTS)
    if len(header) > MAX_HEADER_CHARACTERS or len(parts) > MAX_ELEMENTS:
        parts.pop()  # The last part is cut off, or holds all elements beyond the limit.
    for part in parts:
        name, *fields = (field.strip() for field in part.split(";"))
        if not name:
            continue
        parameters = {
            key.strip().lower(): value.strip().strip('"').lower()
            for key, _, value in (field.partition("=") for field in fields)
        }
        quality = _quality(parameters.get("q", "1"))
        if quality is not None:
            yield _Range(name.lower(), parameters, quality)


def _quality(text: str) -> float | None:
    """Return a weight from 0 to 1; None where it is malformed (RFC 9110, section 12.4.2)."""
    whole, _, decimals = text.partition(".")
    if whole not in {"0", "1"} or (decimals and not (decimals.isascii() and decimals.isdigit())):
        return None
    quality = float(text)
    return quality if quality <= 1 else None
