"""The lines of one series: its labels, the text before each value, and the text of its exemplars.

What does not change between scrapes is kept here and dropped with the series.
"""

import operator
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from opentelemetry.sdk.metrics import Exemplar
from opentelemetry.sdk.metrics.export import NumberDataPoint

from otel.exposition.buckets import classic_buckets
from otel.exposition.family import Family, Point
from otel.exposition.syntax import number
from otel.metrics.exemplars import Exemplars, SeriesExemplars

_NANOSECONDS: Final = 1_000_000_000


class SeriesText:
    """The kept text of one series.

    `colliding` are other attribute sets that translate to the same labels.
    """

    __slots__ = ("_bounds", "_exemplar_texts", "_prefixes", "attributes", "colliding", "labels")

    def __init__(self, attributes: Any, labels: str) -> None:
        self.attributes = attributes  # held to prevent the reuse of its id, the key of the cache
        self.labels = labels
        self.colliding: list[Any] = []
        self._bounds: Sequence[float] | None = None
        self._prefixes: list[str] = []
        self._exemplar_texts: tuple[SeriesExemplars | None, list[str]] = (None, [])

    def prefixes(self, family: Family, bounds: Sequence[float] | None) -> list[str]:
        """Return the text before each value, of a histogram those of its buckets, of the sum and of the count."""
        if not self._prefixes or self._bounds is not bounds:
            self._prefixes = _prefixes(family, self.labels, bounds)
            self._bounds = bounds
        return self._prefixes

    def lines(self, family: Family, point: Point, exemplars: Exemplars) -> Iterator[str]:
        """Return the lines with their exemplars, one by one, each with its line feed."""
        if isinstance(point, NumberDataPoint):
            newest = _newest_by_bucket(self._kept(exemplars), None)
            yield f"{self.prefixes(family, None)[0]}{number(point.value)}{self._exemplar(newest, 0)}\n"
            return
        bounds, counts = classic_buckets(point)
        newest = _newest_by_bucket(self._kept(exemplars), bounds)
        *buckets, total, count = self.prefixes(family, bounds)
        for bucket, (prefix, value) in enumerate(zip(buckets, counts, strict=True)):
            yield f"{prefix}{value}{self._exemplar(newest, bucket)}\n"
        yield f"{total}{number(point.sum)}\n{count}{point.count}\n"

    def exemplar_texts(self, kept: SeriesExemplars, slots: int) -> list[str]:
        """Return the text of the exemplar of each slot, empty where there is none.

        Each is written again only where it is another exemplar.
        """
        known_kept, texts = self._exemplar_texts
        if known_kept is kept and len(texts) == slots:
            return texts
        known = {} if known_kept is None or len(texts) != slots else known_kept.by_slot
        texts = [
            (texts[slot] if known.get(slot) is by_slot else _exemplar_text(by_slot)) if by_slot is not None else ""
            for slot, by_slot in enumerate(map(kept.by_slot.get, range(slots)))
        ]
        self._exemplar_texts = (kept, texts)
        return texts

    def _kept(self, exemplars: Exemplars) -> list[SeriesExemplars]:
        return [exemplars[key] for key in map(id, (self.attributes, *self.colliding)) if key in exemplars]

    @staticmethod
    def _exemplar(newest: Mapping[int, Exemplar], bucket: int) -> str:
        return _exemplar_text(newest[bucket]) if bucket in newest else ""


by_labels: Final = operator.attrgetter("labels")
"""The order of series."""


def _prefixes(family: Family, labels: str, bounds: Sequence[float] | None) -> list[str]:
    of_series = f"{{{labels}}}" if labels else ""
    if bounds is None:
        return [f"{family.name}{of_series} "]
    bucket, total, count = family.sample_names
    comma = "," if labels else ""
    edges = [*(number(float(bound)) for bound in bounds), "+Inf"]
    return [
        *(f'{bucket}{{{labels}{comma}le="{edge}"}} ' for edge in edges),
        f"{total}{of_series} ",
        f"{count}{of_series} ",
    ]


def _newest_by_bucket(kept: Sequence[SeriesExemplars], bounds: Sequence[float] | None) -> dict[int, Exemplar]:
    """Return the newest exemplar of each bucket.

    Without bounds there is one bucket, 0.
    """
    newest: dict[int, Exemplar] = {}
    for series in kept:
        for exemplar in series.by_slot.values():
            bucket = 0 if bounds is None else bisect_left(bounds, exemplar.value)
            if bucket not in newest or newest[bucket].time_unix_nano <= exemplar.time_unix_nano:
                newest[bucket] = exemplar
    return newest


def _exemplar_text(exemplar: Exemplar) -> str:
    """Return ` # {trace_id="…",span_id="…"} value seconds`.

    Its labels are within OpenMetrics' limit of 128 characters.
    """
    seconds, nanoseconds = divmod(exemplar.time_unix_nano, _NANOSECONDS)
    labels = f'trace_id="{exemplar.trace_id or 0:032x}",span_id="{exemplar.span_id or 0:016x}"'
    return f" # {{{labels}}} {number(exemplar.value)} {seconds}.{nanoseconds // 1_000_000:03d}"
