"""What the receiver gives to the writer: one batch for each request, of records in the order of the tables' columns.

Text attributes and ids are encoded already, so that the writer only adds the ids of resources,
scopes and series.
"""

from typing import Literal, TypeAlias

import msgspec

Signal: TypeAlias = Literal["traces", "metrics", "logs"]
PointTable: TypeAlias = Literal["number_points", "histogram_points", "exponential_points", "summary_points"]


class ResourceRecord(msgspec.Struct, frozen=True):
    """A resource; `attributes` is sorted JSON."""

    service_name: str | None
    service_version: str | None
    service_instance: str | None
    attributes: str
    schema_url: str


class ScopeRecord(msgspec.Struct, frozen=True):
    """An instrumentation scope; `attributes` is sorted JSON."""

    name: str
    version: str
    attributes: str
    schema_url: str


class Origin(msgspec.Struct, frozen=True):
    """Where records come from."""

    resource: ResourceRecord
    scope: ScopeRecord


class SpanEventRecord(msgspec.Struct, gc=False):
    """A row of `span_events` without its span and position."""

    time_ns: int
    name: str
    attributes: str
    dropped_attributes: int


class SpanLinkRecord(msgspec.Struct, gc=False):
    """A row of `span_links` without its span and position."""

    trace_id: bytes
    span_id: bytes
    trace_state: str
    flags: int
    attributes: str
    dropped_attributes: int


class SpanRecord(msgspec.Struct):
    """A row of `spans`: `values` are the columns from `trace_id` on."""

    values: tuple[object, ...]
    events: tuple[SpanEventRecord, ...] = ()
    links: tuple[SpanLinkRecord, ...] = ()


class LogRecordRecord(msgspec.Struct):
    """A row of `log_records`: `values` are the columns from `time_ns` on.

    `words` is what full-text search finds it by. `request` are the columns of `requests` from
    `time_ns` on, where the record is the line of a request.
    """

    values: tuple[object, ...]
    words: str
    request: tuple[object, ...] | None = None


class MetricRecord(msgspec.Struct, frozen=True):
    """A row of `metrics`."""

    name: str
    unit: str
    description: str
    kind: str
    temporality: int
    is_monotonic: bool


class ExemplarRecord(msgspec.Struct, gc=False):
    """A row of `exemplars` without its series."""

    time_ns: int
    trace_id: bytes
    span_id: bytes
    value: int | float | str
    attributes: str


class PointRecord(msgspec.Struct):
    """A row of a table of points: `values` are its columns from `time_ns` on.

    `attributes` and `bounds` (of a histogram) are the sorted JSON that tell its series from others.
    """

    attributes: str
    values: tuple[object, ...]
    bounds: str | None = None
    exemplars: tuple[ExemplarRecord, ...] = ()


class SpanGroup(msgspec.Struct):
    """The spans of one origin."""

    origin: Origin
    spans: list[SpanRecord]


class LogGroup(msgspec.Struct):
    """The log records of one origin."""

    origin: Origin
    records: list[LogRecordRecord]


class PointGroup(msgspec.Struct):
    """The points of one metric of one origin."""

    origin: Origin
    metric: MetricRecord
    table: PointTable
    points: list[PointRecord]


class Batch(msgspec.Struct):
    """The content of one request. `refused` items were invalid; `reason` is why the first one was."""

    signal: Signal
    digest: bytes | None
    """Of the request's body, where its records have times of their own: the same body again is the same request again."""
    spans: list[SpanGroup] = []
    logs: list[LogGroup] = []
    points: list[PointGroup] = []
    items: int = 0
    refused: int = 0
    reason: str = ""
