"""The sample lines of one family, the same in both formats except for exemplars.

Text that does not change between scrapes is cached per series and dropped with the series: escaped
labels, their order, the text up to the value, and the lines while the reader has the same point.
"""

import operator
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Any

from opentelemetry.sdk.metrics import Exemplar
from opentelemetry.sdk.metrics.export import NumberDataPoint

from otel.exposition.buckets import classic_buckets
from otel.exposition.family import Family, FamilyType, Point
from otel.exposition.merge import merge_points
from otel.exposition.syntax import label_pairs, number
from otel.metrics.exemplars import Exemplars, SeriesExemplars

_NANOSECONDS = 1_000_000_000
_NO_EXEMPLARS: Mapping[int, str] = {}


class _SeriesText:
    """The cached text of one series.

    `colliding` are other attribute sets that translate to the same labels.
    """

    __slots__ = (
        "attributes",
        "bounds",
        "colliding",
        "exemplar_source",
        "exemplars",
        "labels",
        "lines",
        "lines_with_exemplars",
        "point",
        "prefixes",
    )

    def __init__(self, attributes: Any, labels: str) -> None:
        self.attributes = attributes  # held to prevent the reuse of its id, the key of the cache
        self.labels = labels
        self.colliding: list[Any] = []
        self.bounds: Sequence[float] | None = None
        self.prefixes: list[str] = []
        self.exemplar_source: tuple[Sequence[float] | None, list[SeriesExemplars]] = (None, [])
        self.exemplars: Mapping[int, str] = _NO_EXEMPLARS
        self.point: Point | None = None
        self.lines = ""
        self.lines_with_exemplars: tuple[Point | None, Mapping[int, str], str] = (None, _NO_EXEMPLARS, "")


class SeriesWriter:
    """Writes the sample lines of one family name.

    Not thread safe: the exposition calls it under its lock.
    """

    def __init__(self) -> None:
        self._series: dict[int, _SeriesText] = {}  # by id(attributes), in the order of the exposition
        self._known: set[int] = set()  # ids of all attribute sets, colliding ones included
        self._points: Sequence[Point] = ()
        self._text = b""

    def lines(self, family: Family) -> list[str]:
        """Return the lines of each series without exemplars, sorted by labels, each line with its line feed."""
        return [self._lines(family, text, point) for text, point in self._pairs(family)]

    def sample_text(self, family: Family) -> bytes:
        """Return these lines as bytes; a lone surrogate, which UTF-8 cannot encode, becomes `?`."""
        points = family.points
        is_same = len(points) == len(self._points) and all(map(operator.is_, points, self._points))
        if not is_same:
            self._text, self._points = "".join(self.lines(family)).encode("utf-8", "replace"), points
        return self._text

    def sample_text_with_exemplars(self, family: Family, exemplars: Exemplars) -> bytes:
        """Return them with exemplars: ` # {trace_id=…} value timestamp`."""
        lines = [self._lines_with_exemplars(family, text, point, exemplars) for text, point in self._pairs(family)]
        return "".join(lines).encode("utf-8", "replace")

    def _lines(self, family: Family, text: _SeriesText, point: Point) -> str:
        """Return the lines of one series, rendered again only where its point is another one."""
        if text.point is point:
            return text.lines
        if isinstance(point, NumberDataPoint):
            lines = f"{self._number_prefix(family, text)}{number(point.value)}\n"
        else:
            bounds, counts = classic_buckets(point)
            values = [*map(str, counts), number(point.sum), str(point.count)]
            prefixes = self._histogram_prefixes(family, text, bounds)
            lines = "".join([f"{prefix}{value}\n" for prefix, value in zip(prefixes, values, strict=True)])
        text.point, text.lines = point, lines
        return lines

    def _lines_with_exemplars(self, family: Family, text: _SeriesText, point: Point, exemplars: Exemplars) -> str:
        """Return the lines of one series, rendered again only where its point or an exemplar is another one."""
        bounds, counts = (None, []) if isinstance(point, NumberDataPoint) else classic_buckets(point)
        newest = _exemplar_texts(text, exemplars, bounds)
        if not newest:
            return self._lines(family, text, point)
        known_point, known_newest, known_lines = text.lines_with_exemplars
        if known_point is point and known_newest is newest:
            return known_lines
        if isinstance(point, NumberDataPoint):
            lines = f"{self._number_prefix(family, text)}{number(point.value)}{newest.get(0, '')}\n"
        else:
            prefixes = self._histogram_prefixes(family, text, bounds or ())
            parts = [
                f"{prefix}{count}{newest.get(bucket, '')}\n"
                for bucket, (prefix, count) in enumerate(zip(prefixes, counts, strict=False))
            ]
            lines = "".join([*parts, f"{prefixes[-2]}{number(point.sum)}\n{prefixes[-1]}{point.count}\n"])
        text.lines_with_exemplars = (point, newest, lines)
        return lines

    def _pairs(self, family: Family) -> list[tuple[_SeriesText, Point]]:
        """Return each series with its point, ordered by labels.

        Series with equal labels are merged.
        """
        by_id = {id(point.attributes): point for point in family.points}
        if by_id.keys() != self._known:
            self._rebuild(family, by_id)
        return [
            (
                text,
                merge_points([by_id[key], *(by_id[id(each)] for each in text.colliding)])
                if text.colliding
                else by_id[key],
            )
            for key, text in self._series.items()
        ]

    def _rebuild(self, family: Family, by_id: dict[int, Point]) -> None:
        """Keep the text of series that still exist, add the new ones, drop the others."""
        reserved = "le" if family.type is FamilyType.HISTOGRAM else ""
        known = self._series
        texts = sorted(
            (
                known[key] if key in known else _SeriesText(point.attributes, self._labels(family, point, reserved))
                for key, point in by_id.items()
            ),
            key=lambda text: text.labels,
        )
        self._series = {}
        previous: _SeriesText | None = None
        for text in texts:
            text.colliding = []
            if previous is not None and previous.labels == text.labels:
                previous.colliding.append(text.attributes)
            else:
                self._series[id(text.attributes)] = previous = text
        self._known = set(by_id)

    @staticmethod
    def _labels(family: Family, point: Point, reserved: str) -> str:
        return label_pairs(point.attributes, family.labels, reserved=reserved)

    @staticmethod
    def _number_prefix(family: Family, text: _SeriesText) -> str:
        if not text.prefixes:
            text.prefixes = [f"{family.name}{{{text.labels}}} " if text.labels else f"{family.name} "]
        return text.prefixes[0]

    @staticmethod
    def _histogram_prefixes(family: Family, text: _SeriesText, bounds: Sequence[float]) -> list[str]:
        """Return the text before the value of each bucket, of the sum and of the count."""
        if text.bounds is not bounds:
            bucket, total, count = family.sample_names
            comma = "," if text.labels else ""
            labels = f"{{{text.labels}}}" if text.labels else ""
            edges = [*(number(float(bound)) for bound in bounds), "+Inf"]
            text.prefixes = [f'{bucket}{{{text.labels}{comma}le="{edge}"}} ' for edge in edges]
            text.prefixes += [f"{total}{labels} ", f"{count}{labels} "]
            text.bounds = bounds
        return text.prefixes


def _exemplar_texts(text: _SeriesText, exemplars: Exemplars, bounds: Sequence[float] | None) -> Mapping[int, str]:
    """Return the exemplar text of each bucket, rendered again only where an exemplar changed."""
    kept = [exemplars[key] for key in map(id, (text.attributes, *text.colliding)) if key in exemplars]
    if not kept:
        return _NO_EXEMPLARS
    known_bounds, known = text.exemplar_source
    is_known = bounds is known_bounds and len(kept) == len(known) and all(map(operator.is_, kept, known))
    if not is_known:
        text.exemplar_source = (bounds, kept)
        text.exemplars = _newest_by_bucket(kept, bounds)
    return text.exemplars


def _newest_by_bucket(kept: Sequence[SeriesExemplars], bounds: Sequence[float] | None) -> dict[int, str]:
    """Return the text of the newest exemplar of each bucket.

    Without bounds there is one bucket, 0.
    """
    newest: dict[int, Exemplar] = {}
    for series in kept:
        for exemplar in series.by_slot.values():
            bucket = 0 if bounds is None else bisect_left(bounds, exemplar.value)
            if bucket not in newest or newest[bucket].time_unix_nano <= exemplar.time_unix_nano:
                newest[bucket] = exemplar
    return {bucket: _exemplar_text(exemplar) for bucket, exemplar in newest.items()}


def _exemplar_text(exemplar: Exemplar) -> str:
    """Return ` # {trace_id="…",span_id="…"} value seconds`.

    Its labels are within OpenMetrics' limit of 128 characters.
    """
    seconds, nanoseconds = divmod(exemplar.time_unix_nano, _NANOSECONDS)
    labels = f'trace_id="{exemplar.trace_id or 0:032x}",span_id="{exemplar.span_id or 0:016x}"'
    return f" # {{{labels}}} {number(exemplar.value)} {seconds}.{nanoseconds // 1_000_000:03d}"
