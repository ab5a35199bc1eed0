"""Consecutive series of a family, written at once: one template has all their text except the values.

A block whose items are those of the last scrape is not written again. Blocks bound what one
unchanged series among changed ones costs, and how long one step holds the interpreter.
"""

import math
import operator
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate, chain, repeat
from typing import Any, Final, Protocol

from opentelemetry.sdk.metrics.export import ExponentialHistogramDataPoint

from otel.exposition.family import Family
from otel.exposition.sample_text import ExemplarTexts, histogram_prefixes, lines, number_prefix
from otel.exposition.syntax import number
from otel.metrics.columns import HistogramNumbers
from otel.metrics.exemplars import Exemplars, SeriesExemplars

LINES_PER_BLOCK: Final = 64
_LINES_BESIDE_BOUNDS: Final = 3
"""`+Inf`, the sum and the count."""

_PLAIN_TYPES: Final = {int, float}
_PLAIN_LIMIT: Final = 2.0**63
_sum_of: Final = operator.attrgetter("sum")
_bounds_of: Final = operator.attrgetter("bounds")

Found = Sequence[SeriesExemplars | None]


class Block(Protocol):
    """Some series in the order of their labels. `items` are what these measured, in that order."""

    size: int

    def text(self, items: Sequence[Any]) -> bytes:
        """Return the lines without exemplars."""

    def text_with_exemplars(self, items: Sequence[Any], exemplars: Exemplars) -> bytes:
        """Return the lines with exemplars."""


class _PlainBlock:
    """Series with the same number of values each; a subclass says which."""

    def __init__(self, family: Family, attributes: Sequence[Any], labels: Sequence[str]) -> None:
        self.size = len(labels)
        self._family = family
        self._labels = labels
        self._ids = list(map(id, attributes))  # the writer holds the attributes, so that an id stays theirs
        self._kept_texts: dict[int, ExemplarTexts] = {}  # by the place of a series
        self._texts: list[Sequence[str] | None] = []
        self._texts_found: Found = ()
        self._items: Sequence[Any] = ()
        self._text = b""
        self._traced_items: Sequence[Any] = ()
        self._traced_found: Found = ()
        self._traced_text = b""

    def text(self, items: Sequence[Any]) -> bytes:
        """Return the lines without exemplars."""
        if not are_same(items, self._items):
            self._text = _encoded(self._template(items) % tuple(self._values(items)))
            self._items = items
        return self._text

    def text_with_exemplars(self, items: Sequence[Any], exemplars: Exemplars) -> bytes:
        """Return the lines with exemplars, where one of the series has one."""
        found = list(map(exemplars.get, self._ids))
        if not any(found):
            return self.text(items)
        if not (are_same(items, self._traced_items) and are_same(found, self._traced_found)):
            self._traced_text = _encoded(self._traced_template(items) % tuple(self._traced_values(items, found)))
            self._traced_items, self._traced_found = items, found
        return self._traced_text

    def _exemplar_texts(self, found: Found, buckets: Sequence[int]) -> list[Sequence[str] | None]:
        """Return the exemplars' texts of each series, None where it has none."""
        if not are_same(found, self._texts_found):
            self._texts = [
                None if kept is None else self._kept_texts.setdefault(place, ExemplarTexts()).of(kept, size)
                for place, (kept, size) in enumerate(zip(found, buckets, strict=True))
            ]
            self._texts_found = found
        return self._texts

    def _template(self, items: Sequence[Any]) -> str:
        raise NotImplementedError

    def _values(self, items: Sequence[Any]) -> Iterable[object]:
        raise NotImplementedError

    def _traced_template(self, items: Sequence[Any]) -> str:
        raise NotImplementedError

    def _traced_values(self, items: Sequence[Any], found: Found) -> Iterable[object]:
        """Return the values, each of a line with an exemplar followed by its text."""
        raise NotImplementedError


class NumberBlock(_PlainBlock):
    """Counters or gauges."""

    def __init__(self, family: Family, attributes: Sequence[Any], labels: Sequence[str]) -> None:
        super().__init__(family, attributes, labels)
        prefixes = [_literal(number_prefix(family, each)) for each in labels]
        self._lines = "".join([f"{prefix}%s\n" for prefix in prefixes])
        self._traced_lines = "".join([f"{prefix}%s%s\n" for prefix in prefixes])

    def _template(self, items: Sequence[Any]) -> str:  # noqa: ARG002  the same for all
        return self._lines

    def _values(self, items: Sequence[Any]) -> Iterable[object]:
        return _written(items)

    def _traced_template(self, items: Sequence[Any]) -> str:  # noqa: ARG002  likewise
        return self._traced_lines

    def _traced_values(self, items: Sequence[Any], found: Found) -> Iterable[object]:
        texts = self._exemplar_texts(found, [1] * self.size)
        newest = ["" if each is None else each[0] for each in texts]
        return chain.from_iterable(zip(self._values(items), newest, strict=True))


class HistogramBlock(_PlainBlock):
    """Histograms with explicit bounds."""

    def __init__(self, family: Family, attributes: Sequence[Any], labels: Sequence[str]) -> None:
        super().__init__(family, attributes, labels)
        self._bounds: Sequence[Sequence[float]] = ()
        self._lines = self._traced_lines = ""

    def _template(self, items: Sequence[HistogramNumbers]) -> str:
        self._take_bounds(items)
        return self._lines

    def _traced_template(self, items: Sequence[HistogramNumbers]) -> str:
        self._take_bounds(items)
        return self._traced_lines

    def _take_bounds(self, items: Sequence[HistogramNumbers]) -> None:
        bounds = list(map(_bounds_of, items))
        if are_same(bounds, self._bounds):
            return
        self._bounds = bounds
        lines, traced = [], []
        for labels, of_series in zip(self._labels, bounds, strict=True):
            *buckets, total, count = map(_literal, histogram_prefixes(self._family, labels, of_series))
            lines += [f"{prefix}%s\n" for prefix in (*buckets, total, count)]
            traced += [*(f"{prefix}%s%s\n" for prefix in buckets), f"{total}%s\n", f"{count}%s\n"]
        self._lines, self._traced_lines = "".join(lines), "".join(traced)

    def _values(self, items: Sequence[HistogramNumbers]) -> Iterable[object]:
        values: list[object] = []
        for item, total in zip(items, _written(list(map(_sum_of, items))), strict=True):
            values += accumulate(item.bucket_counts)
            values += (total, item.observations)
        return values

    def _traced_values(self, items: Sequence[HistogramNumbers], found: Found) -> Iterable[object]:
        values: list[object] = []
        totals = _written(list(map(_sum_of, items)))
        texts = self._exemplar_texts(found, [len(item.bucket_counts) for item in items])
        for item, total, of_series in zip(items, totals, texts, strict=True):
            newest = repeat("") if of_series is None else of_series
            values += chain.from_iterable(zip(accumulate(item.bucket_counts), newest, strict=False))
            values += (total, item.observations)
        return values


class SingleBlock:
    """A series whose lines are written one by one, because their number or their items vary.

    These are exponential histograms and series that are merged at each collection.
    """

    size = 1

    def __init__(self, family: Family, attributes: Sequence[Any], labels: str) -> None:
        self._family = family
        self._labels = labels
        self._ids = list(map(id, attributes))

    def text(self, items: Sequence[Any]) -> bytes:
        """Return the lines without exemplars."""
        return self.text_with_exemplars(items, {})

    def text_with_exemplars(self, items: Sequence[Any], exemplars: Exemplars) -> bytes:
        """Return the lines with exemplars."""
        kept = [exemplars[key] for key in self._ids if key in exemplars]
        return _encoded("".join(lines(self._family, self._labels, items[0], kept)))


def blocks_of(
    family: Family,
    attributes: Sequence[Any],
    labels: Sequence[str],
    colliding: Mapping[int, Sequence[Any]],
    items: Sequence[Any],
) -> list[Block]:
    """Return the blocks of series; `colliding` are further attribute sets of one, by its place."""
    blocks: list[Block] = []
    begin = filled = 0
    make: type[NumberBlock | HistogramBlock] = NumberBlock

    def end_run(end: int) -> None:
        nonlocal begin, filled
        if end > begin:
            blocks.append(make(family, attributes[begin:end], labels[begin:end]))
        begin, filled = end, 0

    for place, item in enumerate(items):
        is_histogram = isinstance(item, HistogramNumbers)
        if place in colliding or isinstance(item, ExponentialHistogramDataPoint):
            end_run(place)
            blocks.append(SingleBlock(family, [attributes[place], *colliding.get(place, ())], labels[place]))
            begin = place + 1
            continue
        if filled >= LINES_PER_BLOCK:
            end_run(place)
        make = HistogramBlock if is_histogram else NumberBlock
        filled += len(item.bounds) + _LINES_BESIDE_BOUNDS if is_histogram else 1
    end_run(len(items))
    return blocks


def are_same(some: Sequence[object], others: Sequence[object]) -> bool:
    """Whether both hold the same objects in the same order."""
    return len(some) == len(others) and all(map(operator.is_, some, others))


def _written(values: Sequence[Any]) -> Iterable[object]:
    """Return values that `%s` writes as `number` does: most are so already."""
    if set(map(type, values)) <= _PLAIN_TYPES and min(values) > -_PLAIN_LIMIT and max(values) < _PLAIN_LIMIT:
        # A NaN makes the sum one, too.
        return values if math.isfinite(sum(values)) else map(number, values)
    return map(number, values)


def _literal(text: str) -> str:
    return text.replace("%", "%%")


def _encoded(text: str) -> bytes:
    """Return UTF-8; a lone surrogate, which it cannot encode, becomes `?`."""
    return text.encode("utf-8", "replace")
