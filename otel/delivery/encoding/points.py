"""Encodes counters and histograms as OTLP `Metric`s: the bytes of the SDK's encoder in a quarter of its time.

The SDK makes one protobuf object for each point and copies all of them twice, which holds the
interpreter for as long as there are points. Here no step is longer than one piece of points: pieces
are joined only once, to the whole body, which lets other threads go on.

Format: `opentelemetry/proto/metrics/v1/metrics.proto`.
"""

import struct
from collections.abc import Callable, Iterator, Sequence
from itertools import count, islice, repeat
from struct import Struct
from typing import Any, Final, TypeAlias

from opentelemetry.sdk.metrics import Exemplar
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Histogram,
    Metric,
    Sum,
)

from otel.delivery.encoding.protobuf import (
    AttributeEncoder,
    UnsupportedValueError,
    delimited,
    framed,
    pack_double,
    pack_fixed64,
    text_field,
)
from otel.metrics.columns import Columns, HistogramNumbers, item_of

_NAME: Final = b"\x0a"
_DESCRIPTION: Final = b"\x12"
_UNIT: Final = b"\x1a"
_SUM: Final = b"\x3a"
_HISTOGRAM: Final = b"\x4a"
_POINT: Final = b"\x0a"
_TEMPORALITY: Final = b"\x10"
_MONOTONIC: Final = b"\x18\x01"

_START: Final = b"\x11"
_TIME: Final = b"\x19"
_AS_DOUBLE: Final = b"\x21"
_AS_INT: Final = b"\x31"
_COUNT: Final = b"\x21"
_TOTAL: Final = b"\x29"
_BUCKET_COUNTS: Final = b"\x32"
_BOUNDS: Final = b"\x3a"
_MIN: Final = b"\x59"
_MAX: Final = b"\x61"
_NUMBER_EXEMPLAR: Final = b"\x2a"
_HISTOGRAM_EXEMPLAR: Final = b"\x42"

_EXEMPLAR_TIME: Final = b"\x11"
_EXEMPLAR_DOUBLE: Final = b"\x19"
_SPAN_ID: Final = b"\x22\x08"
_TRACE_ID: Final = b"\x2a\x10"
_EXEMPLAR_INT: Final = b"\x31"
_pack_int: Final = Struct("<q").pack

POINTS_PER_PIECE: Final = 256
"""Some 30 KB of counters or 100 KB of histograms: joined in a fraction of a millisecond."""

Row: TypeAlias = tuple[Any, int, int, Any, Sequence[Exemplar]]
EncodePoint: TypeAlias = Callable[[Any, int, int, Any, Sequence[Exemplar]], bytes]


class PointEncoder:
    """Encodes metrics whose points never fall. Used by the one thread that pushes."""

    def __init__(self) -> None:
        self._of_numbers = AttributeEncoder(b"\x3a")
        self._of_histograms = AttributeEncoder(b"\x4a")
        self._of_exemplars = AttributeEncoder(b"\x3a")

    def encode(self, metric: Metric) -> list[bytes] | None:
        """Return the pieces of the metric's message, None where the SDK has to encode it: gauges, sums that can fall, rare values."""
        data = metric.data
        try:
            if isinstance(data, Sum) and data.is_monotonic and data.data_points:
                pieces = self._pieces(self._number, data.data_points)
                field = framed(_SUM, [*pieces, _temporality(data.aggregation_temporality) + _MONOTONIC])
            elif isinstance(data, Histogram) and data.data_points:
                pieces = self._pieces(self._histogram, data.data_points)
                field = framed(_HISTOGRAM, [*pieces, _temporality(data.aggregation_temporality)])
            else:
                return None
            head = text_field(_NAME, metric.name) + text_field(_DESCRIPTION, metric.description)
            return [head + text_field(_UNIT, metric.unit), *field]
        except (UnsupportedValueError, struct.error, TypeError, AttributeError, UnicodeEncodeError, OverflowError):
            return None

    @staticmethod
    def _pieces(encode: EncodePoint, points: Sequence[Any]) -> list[bytes]:
        """Return the points as fields of the message, some of them in each piece."""
        rows = _rows(points)
        return [
            b"".join([delimited(_POINT, encode(*row)) for row in islice(rows, POINTS_PER_PIECE)])
            for _ in range(0, len(points), POINTS_PER_PIECE)
        ]

    def _number(self, attributes: Any, start: int, time: int, value: Any, exemplars: Sequence[Exemplar]) -> bytes:
        kind = type(value)
        if kind is not int and kind is not float:
            raise UnsupportedValueError
        return b"".join(
            (
                _START + pack_fixed64(start) if start else b"",
                _TIME + pack_fixed64(time) if time else b"",
                _AS_DOUBLE + pack_double(value) if kind is float else b"",
                self._exemplars(_NUMBER_EXEMPLAR, exemplars) if exemplars else b"",
                _AS_INT + _pack_int(value) if kind is int else b"",
                self._of_numbers.encode(attributes or {}),
            )
        )

    def _histogram(
        self, attributes: Any, start: int, time: int, item: HistogramNumbers, exemplars: Sequence[Exemplar]
    ) -> bytes:
        bounds, counts = item.bounds, item.bucket_counts
        return b"".join(
            (
                _START + pack_fixed64(start) if start else b"",
                _TIME + pack_fixed64(time) if time else b"",
                _COUNT + pack_fixed64(item.observations) if item.observations else b"",
                _TOTAL + pack_double(item.sum),
                delimited(_BUCKET_COUNTS, Struct(f"<{len(counts)}Q").pack(*counts)) if counts else b"",
                delimited(_BOUNDS, Struct(f"<{len(bounds)}d").pack(*bounds)) if bounds else b"",
                self._exemplars(_HISTOGRAM_EXEMPLAR, exemplars) if exemplars else b"",
                self._of_histograms.encode(attributes or {}),
                _MIN + pack_double(item.min),
                _MAX + pack_double(item.max),
            )
        )

    def _exemplars(self, tag: bytes, exemplars: Sequence[Exemplar]) -> bytes:
        return b"".join([delimited(tag, self._exemplar(each)) for each in exemplars])

    def _exemplar(self, exemplar: Exemplar) -> bytes:
        value, trace_id, span_id = exemplar.value, exemplar.trace_id, exemplar.span_id
        kind = type(value)
        if kind is not int and kind is not float:
            raise UnsupportedValueError
        ids = b""
        if trace_id is not None and span_id is not None:
            ids = _SPAN_ID + span_id.to_bytes(8, "big") + _TRACE_ID + trace_id.to_bytes(16, "big")
        return b"".join(
            (
                _EXEMPLAR_TIME + pack_fixed64(exemplar.time_unix_nano) if exemplar.time_unix_nano else b"",
                _EXEMPLAR_DOUBLE + pack_double(value) if kind is float else b"",
                ids,
                _EXEMPLAR_INT + _pack_int(value) if kind is int else b"",
                self._of_exemplars.encode(exemplar.filtered_attributes or {}),
            )
        )


def _rows(points: Sequence[Any]) -> Iterator[Row]:
    """Return of each point its attributes, start, time, value or numbers, and exemplars."""
    if isinstance(points, Columns):
        exemplars = map(points.exemplars.get, count(), repeat(()))
        return zip(points.attributes, points.starts, repeat(points.time_unix_nano), points.items, exemplars)
    return (
        (point.attributes, point.start_time_unix_nano, point.time_unix_nano, item_of(point), point.exemplars)
        for point in points
    )


def _temporality(temporality: AggregationTemporality) -> bytes:
    return _TEMPORALITY + bytes((temporality,)) if temporality else b""
