"""A metric request's messages become records of points.

Source: `opentelemetry/proto/metrics/v1/metrics.proto`. A point whose flag says "no recorded value"
ends its series; its values are NULL.
"""

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any, Final, NamedTuple

from console.receive.attributes import encoded, encoded_sorted
from console.receive.origin import origins
from console.receive.refusals import Refusals
from console.receive.times import MAX_NS
from console.store.records import ExemplarRecord, MetricRecord, PointGroup, PointRecord, PointTable
from console.store.values import encode

_NO_RECORDED_VALUE: Final = 1
_MAX_COUNT: Final = 2**63 - 1
_MAX_BUCKETS: Final = 4_000
"""SDKs make 160; each costs time in each value of a chart."""
_MAX_LABEL_CHARS: Final = 16_384
"""Charts read the labels of all series of a family."""
_TRACE_ID_BYTES: Final = 16
_SPAN_ID_BYTES: Final = 8
_WITH_TEMPORALITY: Final = frozenset({"sum", "histogram", "exponential_histogram"})
_TEMPORALITIES: Final = range(3)
_DAY_NS: Final = 86_400 * 1_000_000_000


class TimeWindow(NamedTuple):
    """The times that points may have. Points are deleted by their time, so one from the far future would never be."""

    now_ns: int
    oldest_ns: int

    @property
    def newest_ns(self) -> int:
        """A day from now: clocks differ."""
        return self.now_ns + _DAY_NS


def point_groups(request: Any, window: TimeWindow, refusals: Refusals) -> list[PointGroup]:
    """Return the records of an `ExportMetricsServiceRequest`; invalid points go to `refusals`."""
    groups = []
    for origin, scoped in origins(request.resource_metrics, "scope_metrics"):
        for metric in scoped.metrics:
            kind = metric.WhichOneof("data")
            if kind not in _KINDS:
                refusals.refuse(f"the metric {metric.name[:100]!r} has no data of a known type")
                continue
            table, values_of = _KINDS[kind]
            data = getattr(metric, kind)
            points = [
                record
                for point in data.data_points
                if (record := _record(point, values_of, window, refusals)) is not None
            ]
            if points:
                declared = MetricRecord(
                    metric.name,
                    metric.unit,
                    metric.description,
                    kind,
                    _temporality(data.aggregation_temporality) if kind in _WITH_TEMPORALITY else 0,
                    kind == "sum" and data.is_monotonic,
                )
                groups.append(PointGroup(origin, declared, table, points))
    return groups


class InvalidPointError(ValueError):
    """A point contradicts itself; the message says how."""


def _record(
    point: Any, values_of: "Callable[[Any, bool], _Values]", window: TimeWindow, refusals: Refusals
) -> PointRecord | None:
    time_ns, start_ns = point.time_unix_nano or window.now_ns, point.start_time_unix_nano
    if not window.oldest_ns <= time_ns <= window.newest_ns:
        refusals.refuse("a point is older than what is kept, or more than a day in the future")
        return None
    if start_ns > MAX_NS:
        refusals.refuse("a point has a start time after the year 2262")
        return None
    ended = bool(point.flags & _NO_RECORDED_VALUE)
    try:
        values = values_of(point, ended)
    except InvalidPointError as error:
        refusals.refuse(str(error))
        return None
    attributes = encoded_sorted(point.attributes)
    if len(attributes) > _MAX_LABEL_CHARS:
        refusals.refuse(f"a point has more than {_MAX_LABEL_CHARS} characters of attributes")
        return None
    exemplars = getattr(point, "exemplars", ())
    return PointRecord(
        attributes,
        (time_ns, start_ns, point.flags, *values.columns),
        values.bounds,
        tuple(_exemplar(each, time_ns) for each in exemplars) if exemplars else (),
    )


class _Values(NamedTuple):
    """The columns after `flags`, and the bounds of a histogram."""

    columns: tuple[object, ...]
    bounds: str | None = None


def _number(point: Any, ended: bool) -> _Values:
    kind = point.WhichOneof("value")
    if ended or kind is None:
        return _Values((None,))
    return _Values((point.as_int if kind == "as_int" else _storable(point.as_double),))


def _histogram(point: Any, ended: bool) -> _Values:
    _check_buckets(len(point.explicit_bounds), len(point.bucket_counts))
    bounds, counts = list(point.explicit_bounds), list(point.bucket_counts)
    if bounds and bounds[-1] == math.inf and len(counts) == len(bounds) + 1:
        # The bucket beyond infinity is empty.
        bounds.pop()
        counts[-2:] = [counts[-2] + counts[-1]]
    if counts and len(counts) != len(bounds) + 1:
        raise InvalidPointError("a histogram needs one bucket count more than bounds")
    if not all(map(math.isfinite, bounds)) or any(low >= high for low, high in pairwise(bounds)):
        raise InvalidPointError("the bounds of a histogram do not rise")
    columns = (None,) * 5 if ended else (*_distribution(point), encode(counts))
    return _Values(columns, encode(bounds))


def _exponential(point: Any, ended: bool) -> _Values:
    if ended:
        return _Values((None,) * 11)
    positive, negative = point.positive, point.negative
    _check_buckets(len(positive.bucket_counts), len(negative.bucket_counts))
    _check_count(point.zero_count)
    return _Values(
        (
            *_distribution(point),
            point.scale,
            point.zero_count,
            point.zero_threshold,
            positive.offset,
            encode(list(positive.bucket_counts)),
            negative.offset,
            encode(list(negative.bucket_counts)),
        )
    )


def _summary(point: Any, ended: bool) -> _Values:
    if ended:
        return _Values((None, None, None))
    _check_count(point.count)
    quantiles = [
        [each.quantile, each.value if math.isfinite(each.value) else None]
        for each in point.quantile_values
        if math.isfinite(each.quantile)
    ]
    return _Values((point.count, point.sum, encode(quantiles)))


def _distribution(point: Any) -> tuple[object, ...]:
    """Return count, sum, min and max."""
    _check_count(point.count)
    return (
        point.count,
        point.sum if point.HasField("sum") else None,
        point.min if point.HasField("min") else None,
        point.max if point.HasField("max") else None,
    )


def _temporality(sent: int) -> int:
    """Return OTLP's number; an unknown one as unspecified."""
    return sent if sent in _TEMPORALITIES else 0


def _check_buckets(*counts: int) -> None:
    if max(counts) > _MAX_BUCKETS:
        raise InvalidPointError(f"a histogram has more than {_MAX_BUCKETS} buckets")


def _check_count(count: int) -> None:
    if count > _MAX_COUNT:
        raise InvalidPointError("a count is larger than 63 bits")


def _storable(value: float) -> float | str:
    """Return a float; NaN, which SQLite would store as NULL, as text."""
    return "NaN" if math.isnan(value) else value


def _exemplar(message: Any, point_time_ns: int) -> ExemplarRecord:
    kind = message.WhichOneof("value")
    time_ns = message.time_unix_nano
    trace_id, span_id = message.trace_id, message.span_id
    has_trace = len(trace_id) == _TRACE_ID_BYTES and any(trace_id)
    return ExemplarRecord(
        time_ns if 0 < time_ns <= point_time_ns else point_time_ns,
        trace_id if has_trace else b"",
        span_id if has_trace and len(span_id) == _SPAN_ID_BYTES else b"",
        message.as_int if kind == "as_int" else _storable(message.as_double),
        encoded(message.filtered_attributes),
    )


_KINDS: Final[dict[str, tuple[PointTable, Callable[[Any, bool], _Values]]]] = {
    "gauge": ("number_points", _number),
    "sum": ("number_points", _number),
    "histogram": ("histogram_points", _histogram),
    "exponential_histogram": ("exponential_points", _exponential),
    "summary": ("summary_points", _summary),
}
