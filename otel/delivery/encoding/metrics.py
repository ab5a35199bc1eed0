"""Encodes a metric push so that a gauge which has ended disappears from the backend at once, not minutes later.

A gauge series that an earlier push had and this one lacks gets a point with OTLP's flag "no recorded
value", which Prometheus turns into its stale marker. In the last push of a process every gauge series
gets one. Counters and histograms stay as they are: their last value is final. Sums that can fall are
gauges to Prometheus, so they are treated as such.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final, NamedTuple, TypeAlias

from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    DataPointFlags,
    Metric,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
)
from opentelemetry.sdk.metrics.export import MetricsData

from otel.delivery.encoding.points import PointEncoder
from otel.delivery.encoding.protobuf import delimited, framed, text_field

NO_RECORDED_VALUE: Final = int(DataPointFlags.DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK)


_RESOURCE_METRICS: Final = b"\x0a"
_RESOURCE: Final = b"\x0a"
_SCOPE_METRICS: Final = b"\x12"
_METRIC: Final = b"\x12"
_SCHEMA_URL: Final = b"\x1a"

FinalMetrics: TypeAlias = dict[int, dict[int, list[list[bytes]]]]
"""Encoded metrics whose last value is final, each in pieces, by the number of their resource and of their scope in it."""


class GaugeSeries(NamedTuple):
    """What identifies a series: the serialized resource and scope, the metric without points, and the attributes in a fixed order."""

    resource: bytes
    scope: bytes
    metric: bytes
    attributes: tuple[bytes, ...]


class PushEncoder:
    """Encodes the pushes of one process. Used by the one thread that pushes; `unix_ns` is the wall clock in nanoseconds."""

    def __init__(self, unix_ns: Callable[[], int]) -> None:
        self._unix_ns = unix_ns
        self._points = PointEncoder()
        self._shown: set[GaugeSeries] = set()
        """Every gauge series that the endpoint may still consider alive."""
        self._latest: set[GaugeSeries] = set()
        """Those that are alive in the latest body."""

    def encode(self, data: MetricsData | None, *, is_last: bool) -> bytes:
        """Return the body of a push, empty where there is nothing to push; raises what the SDK's encoder raises."""
        final: FinalMetrics = {}
        request = ExportMetricsServiceRequest()
        if data is not None:
            rest, final = self._without_final(data)
            request = encode_metrics(rest)
        alive: set[GaugeSeries] = set()
        newest_unix_ns = 0
        for series, point in _gauge_points(request):
            alive.add(series)
            newest_unix_ns = max(newest_unix_ns, point.time_unix_nano)
            if is_last:
                _end(point)
        ended = self._shown - alive
        if ended:
            _add_ended(request, ended, newest_unix_ns or self._unix_ns())
        self._shown |= alive
        self._latest = set() if is_last else alive
        # From a megabyte on, joining lets other threads go on.
        return b"".join(_pieces(request, final))

    def _without_final(self, data: MetricsData) -> tuple[MetricsData, FinalMetrics]:
        """Return the collection without counters and histograms, and these as they are encoded.

        The SDK keeps the order of resources and scopes, each of which is there once.
        """
        final: FinalMetrics = {}
        groups = []
        for number, group in enumerate(data.resource_metrics):
            scopes = []
            for scope_number, scoped in enumerate(group.scope_metrics):
                encoded = [(metric, self._points.encode(metric)) for metric in scoped.metrics]
                final.setdefault(number, {})[scope_number] = [body for _, body in encoded if body is not None]
                scopes.append(replace(scoped, metrics=[metric for metric, body in encoded if body is None]))
            groups.append(replace(group, scope_metrics=scopes))
        return replace(data, resource_metrics=groups), final

    def acknowledged(self) -> None:
        """Remember that the endpoint has the latest body: series that it ended need not be ended again."""
        self._shown = set(self._latest)


def _pieces(request: ExportMetricsServiceRequest, final: FinalMetrics) -> list[bytes]:
    """Return the pieces of the request with the encoded metrics in it."""
    pieces = []
    for number, group in enumerate(request.resource_metrics):
        pieces += _of_resource(group, final.get(number, {}))
    return pieces


def _of_resource(group: ResourceMetrics, final: dict[int, list[list[bytes]]]) -> list[bytes]:
    """Return the pieces of a resource's field of the request, with the encoded metrics of its scopes."""
    pieces = [delimited(_RESOURCE, group.resource.SerializeToString())] if group.HasField("resource") else []
    for number, scoped in enumerate(group.scope_metrics):
        # Protobuf leaves the order of a message's fields open.
        of_scope = [scoped.SerializeToString()]
        for metric in final.get(number, []):
            of_scope += framed(_METRIC, metric)
        pieces += framed(_SCOPE_METRICS, of_scope)
    return framed(_RESOURCE_METRICS, [*pieces, text_field(_SCHEMA_URL, group.schema_url)])


def _gauge_points(request: ExportMetricsServiceRequest) -> Iterator[tuple[GaugeSeries, NumberDataPoint]]:
    """Return every point that can fall, with its series."""
    for group in request.resource_metrics:
        resource = group.resource.SerializeToString(deterministic=True)
        for scoped in group.scope_metrics:
            scope = scoped.scope.SerializeToString(deterministic=True)
            for metric in scoped.metrics:
                if not _can_fall(metric):
                    continue
                bare = _without_points(metric).SerializeToString(deterministic=True)
                for point in _points(metric):
                    yield GaugeSeries(resource, scope, bare, _attributes(point)), point


def _can_fall(metric: Metric) -> bool:
    kind = metric.WhichOneof("data")
    return kind == "gauge" or (kind == "sum" and not metric.sum.is_monotonic)


def _points(metric: Metric) -> list[NumberDataPoint]:
    return list(metric.gauge.data_points if metric.WhichOneof("data") == "gauge" else metric.sum.data_points)


def _without_points(metric: Metric) -> Metric:
    bare = Metric(name=metric.name, description=metric.description, unit=metric.unit)
    if metric.WhichOneof("data") == "gauge":
        bare.gauge.SetInParent()
    else:
        bare.sum.aggregation_temporality = metric.sum.aggregation_temporality
        bare.sum.is_monotonic = False
    return bare


def _attributes(point: NumberDataPoint) -> tuple[bytes, ...]:
    """Return the attributes in an order of their own: a callback may give the same ones in another order next time."""
    return tuple(sorted(pair.SerializeToString(deterministic=True) for pair in point.attributes))


def _end(point: NumberDataPoint) -> None:
    """Turn a point into one without a value."""
    point.flags |= NO_RECORDED_VALUE
    point.ClearField("as_double")
    point.ClearField("as_int")
    point.ClearField("exemplars")


def _add_ended(request: ExportMetricsServiceRequest, ended: set[GaugeSeries], unix_ns: int) -> None:
    """Add a point without a value for each of these series, under the resource, scope and metric that they had."""
    groups: dict[bytes, ResourceMetrics] = {
        group.resource.SerializeToString(deterministic=True): group for group in request.resource_metrics
    }
    scopes: dict[tuple[bytes, bytes], ScopeMetrics] = {
        (resource, scoped.scope.SerializeToString(deterministic=True)): scoped
        for resource, group in groups.items()
        for scoped in group.scope_metrics
    }
    metrics: dict[tuple[bytes, bytes, bytes], Metric] = {
        (*place, _without_points(metric).SerializeToString(deterministic=True)): metric
        for place, scoped in scopes.items()
        for metric in scoped.metrics
        if _can_fall(metric)
    }
    for series in sorted(ended):
        group = groups.get(series.resource)
        if group is None:
            group = groups[series.resource] = request.resource_metrics.add()
            group.resource.ParseFromString(series.resource)
        scoped = scopes.get(series[:2])
        if scoped is None:
            scoped = scopes[series[:2]] = group.scope_metrics.add()
            scoped.scope.ParseFromString(series.scope)
        metric = metrics.get(series[:3])
        if metric is None:
            metric = metrics[series[:3]] = scoped.metrics.add()
            metric.ParseFromString(series.metric)
        gauge = metric.gauge if metric.WhichOneof("data") == "gauge" else metric.sum
        point = gauge.data_points.add(time_unix_nano=unix_ns, flags=NO_RECORDED_VALUE)
        for pair in series.attributes:
            point.attributes.add().ParseFromString(pair)
