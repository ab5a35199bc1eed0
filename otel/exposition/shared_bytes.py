"""One collection as bytes per family and format, rendered at the first request.

A response is joined from these bytes. A category renders only its own families, and later requests
render nothing.
"""

import gzip
from collections.abc import Collection, Iterator, Mapping
from typing import TypeAlias

import msgspec

from otel.catalogue.spec import Category
from otel.exposition import openmetrics, text
from otel.exposition.family import Family, FamilyType
from otel.exposition.negotiation import Format
from otel.exposition.series import SeriesWriter
from otel.metrics.columns import attributes_of
from otel.metrics.exemplars import Exemplars

GZIP_LEVEL = 1
"""Metrics text shrinks to 4 % at level 1 already; level 9 reaches 3 % for nine times the CPU."""

SeriesWriters: TypeAlias = dict[tuple[str, FamilyType], SeriesWriter]


class Selection(msgspec.Struct, frozen=True):
    """Which families a response holds: those of `category` (None: all) that `names` select.

    `names` are family names or sample names; empty selects all.
    """

    category: Category | None = None
    names: frozenset[str] = frozenset()


class SharedBytes:
    """The rendered families of one snapshot.

    `parts` is called under the exposition's lock, `response` without it.
    """

    def __init__(self, number: int, families: list[Family], exemplars: Exemplars, writers: SeriesWriters) -> None:
        self.number = number
        self._families = families
        self._names = frozenset(family.name for family in families)
        self._exemplars = exemplars
        self._writers = writers
        self._samples: dict[str, bytes] = {}
        self._rendered: dict[tuple[Format, str], bytes] = {}
        self._responses: dict[tuple[Format, Category | None, bool], bytes] = {}

    def parts(self, format_: Format, selection: Selection) -> list[bytes]:
        """Return the bytes of each selected family, rendered at the first request."""
        return [self._family_bytes(format_, family) for family in self._select(selection)]

    def response(self, format_: Format, selection: Selection, parts: list[bytes], *, compress: bool) -> bytes:
        """Join `parts` to a response body.

        Bodies that do not depend on `names` are kept for later requests.
        """
        key = (format_, selection.category, compress)
        if not selection.names and (ready := self._responses.get(key)) is not None:
            return ready
        end = openmetrics.END if format_ is Format.OPENMETRICS else text.END
        body = b"".join([*parts, end.encode()])
        if compress:
            body = gzip.compress(body, GZIP_LEVEL, mtime=0)
        if not selection.names:
            self._responses[key] = body
        return body

    def kept_response(self, format_: Format, selection: Selection, *, compress: bool) -> bytes | None:
        """Return a body that is kept; None where none is. Safe without the lock."""
        return None if selection.names else self._responses.get((format_, selection.category, compress))

    def _select(self, selection: Selection) -> Iterator[Family]:
        for family in self._families:
            if selection.category is not None and selection.category not in family.categories:
                continue
            if selection.names and not _is_selected(family, selection.names):
                continue
            yield family

    def _family_bytes(self, format_: Format, family: Family) -> bytes:
        key = (format_, family.name)
        if key not in self._rendered:
            self._rendered[key] = self._render(format_, family)
        return self._rendered[key]

    def _render(self, format_: Format, family: Family) -> bytes:
        if format_ is Format.TEXT:
            return text.metadata(family).encode("utf-8", "replace") + self._sample_bytes(family)
        head = openmetrics.metadata(family, self._names).encode("utf-8", "replace")
        if openmetrics.carries_exemplars(family, self._names) and self._has_exemplars(family):
            return head + self._writer(family).sample_text_with_exemplars(family, self._exemplars)
        return head + self._sample_bytes(family)

    def _sample_bytes(self, family: Family) -> bytes:
        """Return the sample lines that both formats share."""
        if family.name not in self._samples:
            self._samples[family.name] = self._writer(family).sample_text(family)
        return self._samples[family.name]

    def _has_exemplars(self, family: Family) -> bool:
        exemplars = self._exemplars
        return bool(exemplars) and any(id(each) in exemplars for each in attributes_of(family.points))

    def _writer(self, family: Family) -> SeriesWriter:
        return self._writers[family.name, family.type]


def writers_for(families: list[Family], known: Mapping[tuple[str, FamilyType], SeriesWriter]) -> SeriesWriters:
    """Return a writer per family, with the text cached for earlier collections.

    Writers of absent families are released.
    """
    keys = [(family.name, family.type) for family in families]
    return {key: known[key] if key in known else SeriesWriter() for key in keys}


def _is_selected(family: Family, names: Collection[str]) -> bool:
    """Whether `names` contain the family's name, OpenMetrics name or a sample name."""
    if family.name in names or any(name in names for name in family.sample_names):
        return True
    return family.type is FamilyType.COUNTER and family.name.removesuffix("_total") in names
