"""The text of samples around their values: names with labels before, exemplars after."""

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from opentelemetry.sdk.metrics import Exemplar
from opentelemetry.sdk.metrics.export import NumberDataPoint

from otel.exposition.buckets import classic_buckets
from otel.exposition.family import Family, Point
from otel.exposition.syntax import number
from otel.metrics.exemplars import SeriesExemplars

_NANOSECONDS: Final = 1_000_000_000
_NANOSECONDS_OF_A_MILLISECOND: Final = 1_000_000


def number_prefix(family: Family, labels: str) -> str:
    """Return the text before the value of a counter or gauge."""
    return f"{family.name}{{{labels}}} " if labels else f"{family.name} "


def histogram_prefixes(family: Family, labels: str, bounds: Sequence[float]) -> list[str]:
    """Return the text before each value of a histogram: those of its buckets, of the sum and of the count."""
    bucket, total, count = family.sample_names
    of_series = f"{{{labels}}}" if labels else ""
    comma = "," if labels else ""
    edges = [*(number(float(bound)) for bound in bounds), "+Inf"]
    return [
        *(f'{bucket}{{{labels}{comma}le="{edge}"}} ' for edge in edges),
        f"{total}{of_series} ",
        f"{count}{of_series} ",
    ]


def lines(family: Family, labels: str, point: Point, kept: Sequence[SeriesExemplars]) -> Iterator[str]:
    """Return the lines of any series, one by one, each with its line feed; `kept` are exemplars of it."""
    if isinstance(point, NumberDataPoint):
        newest = _newest_by_bucket(kept, None)
        yield f"{number_prefix(family, labels)}{number(point.value)}{_text_of(newest, 0)}\n"
        return
    bounds, counts = classic_buckets(point)
    newest = _newest_by_bucket(kept, bounds)
    *buckets, total, count = histogram_prefixes(family, labels, bounds)
    for bucket, (prefix, value) in enumerate(zip(buckets, counts, strict=True)):
        yield f"{prefix}{value}{_text_of(newest, bucket)}\n"
    yield f"{total}{number(point.sum)}\n{count}{point.count}\n"


class ExemplarTexts:
    """The exemplars' text of each bucket of one series, each written again only where it is another exemplar."""

    __slots__ = ("_kept", "_texts")

    def __init__(self) -> None:
        self._kept: SeriesExemplars | None = None
        self._texts: list[str] = []

    def of(self, kept: SeriesExemplars, buckets: int) -> list[str]:
        """Return the texts, empty where there is no exemplar."""
        before, texts = self._kept, self._texts
        if before is kept and len(texts) == buckets:
            return texts
        known = before.by_slot if before is not None and len(texts) == buckets else {}
        self._kept, self._texts = kept, [""] * buckets
        for bucket, exemplar in kept.by_slot.items():
            is_known = known.get(bucket) is exemplar
            self._texts[bucket] = texts[bucket] if is_known else exemplar_text(exemplar)
        return self._texts


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


def _text_of(newest: Mapping[int, Exemplar], bucket: int) -> str:
    return exemplar_text(newest[bucket]) if bucket in newest else ""


def exemplar_text(exemplar: Exemplar) -> str:
    """Return ` # {trace_id="…",span_id="…"} value seconds`.

    Its labels are within OpenMetrics' limit of 128 characters.
    """
    seconds, nanoseconds = divmod(exemplar.time_unix_nano, _NANOSECONDS)
    labels = f'trace_id="{exemplar.trace_id or 0:032x}",span_id="{exemplar.span_id or 0:016x}"'
    milliseconds = nanoseconds // _NANOSECONDS_OF_A_MILLISECOND
    return f" # {{{labels}}} {number(exemplar.value)} {seconds}.{milliseconds:03d}"
