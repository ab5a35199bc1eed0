"""The sample lines of one family, the same in both formats except for exemplars.

Labels are kept per series and dropped with the series, and blocks of series are written again only
where one of them measured something. No object is kept for each series, which the garbage collector
would look at.
"""

import heapq
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, Final

from otel.exposition.family import Family, FamilyType
from otel.exposition.merge import merge_points
from otel.exposition.series_block import Block, are_same, blocks_of
from otel.exposition.syntax import label_pairs
from otel.metrics.columns import attributes_of, items_of
from otel.metrics.exemplars import Exemplars

SORTED_AT_ONCE: Final = 4_096
"""Sorting holds the interpreter; so many labels take some milliseconds."""


class SeriesWriter:
    """Writes the sample lines of one family name.

    Not thread safe: the exposition calls it under its lock.
    """

    def __init__(self) -> None:
        self._series: dict[int, str] = {}  # the labels by id(attributes)
        self._attributes: list[Any] = []  # of the series as they were collected; held, so that an id stays theirs
        self._blocks: list[Block] = []
        self._order: list[int] = []  # which series comes first, by labels
        self._colliding: dict[int, list[int]] = {}  # further series of one in the order, by its place there
        self._items: Sequence[Any] = ()
        self._text = b""

    def lines(self, family: Family) -> list[bytes]:
        """Return the lines of each block of series without exemplars, sorted by labels."""
        items = self._ordered(family)
        return [block.text(tuple(islice(items, block.size))) for block in self._blocks]

    def sample_text(self, family: Family) -> bytes:
        """Return these lines at once; a lone surrogate, which UTF-8 cannot encode, becomes `?`."""
        items = items_of(family.points)
        if self._is_known(attributes_of(family.points)) and are_same(items, self._items):
            return self._text
        self._text, self._items = b"".join(self.lines(family)), items
        return self._text

    def sample_text_with_exemplars(self, family: Family, exemplars: Exemplars) -> bytes:
        """Return them with exemplars: ` # {trace_id=…} value timestamp`."""
        items = self._ordered(family)
        return b"".join(
            [block.text_with_exemplars(tuple(islice(items, block.size)), exemplars) for block in self._blocks]
        )

    def _is_known(self, attributes: list[Any]) -> bool:
        """Whether the series are those of the blocks."""
        return attributes is self._attributes or are_same(attributes, self._attributes)

    def _ordered(self, family: Family) -> Iterator[Any]:
        """Return what was measured in the order of the blocks' series.

        Series with equal labels are merged.
        """
        points = family.points
        attributes = attributes_of(points)
        if not self._is_known(attributes):
            self._rebuild(family, attributes)
        items = items_of(points)
        if not self._colliding:
            return map(items.__getitem__, self._order)
        return (
            merge_points([points[first], *(points[each] for each in self._colliding[place])])
            if place in self._colliding
            else items[first]
            for place, first in enumerate(self._order)
        )

    def _rebuild(self, family: Family, attributes: list[Any]) -> None:
        """Keep the text of series that still exist, add the new ones, drop the others."""
        reserved = "le" if family.type is FamilyType.HISTOGRAM else ""
        known = self._series
        self._series = {
            id(each): known.get(id(each)) or label_pairs(each, family.labels, reserved=reserved) for each in attributes
        }
        labels = list(self._series.values())
        self._order, self._colliding = [], {}
        previous = None
        for position in _by_labels(labels):
            if labels[position] == previous:
                self._colliding.setdefault(len(self._order) - 1, []).append(position)
            else:
                self._order.append(position)
                previous = labels[position]
        self._attributes = attributes
        items = items_of(family.points)
        self._blocks = blocks_of(
            family,
            [attributes[position] for position in self._order],
            [labels[position] for position in self._order],
            {place: [attributes[each] for each in others] for place, others in self._colliding.items()},
            [items[position] for position in self._order],
        )


def _by_labels(labels: list[str]) -> list[int]:
    """Return the positions of the labels in their order, without one long step."""
    positions = range(len(labels))
    runs = [
        sorted(positions[start : start + SORTED_AT_ONCE], key=labels.__getitem__)
        for start in positions[::SORTED_AT_ONCE]
    ]
    return runs[0] if len(runs) == 1 else list(heapq.merge(*runs, key=labels.__getitem__))
