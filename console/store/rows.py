"""What readers return: one struct for each kind of row, ids as hex text, JSON decoded.

None means that the telemetry did not contain the value.
"""

from typing import NamedTuple

import msgspec

from console.store.values import Attributes, Value


class Program(NamedTuple):
    """A resource by what it is called; without its other attributes, of which there may be any number."""

    id: int
    service_name: str | None
    service_version: str | None
    service_instance: str | None
    first_received_s: int


class Resource(msgspec.Struct, frozen=True, kw_only=True):
    """A program that sent telemetry."""

    id: int
    service_name: str | None
    service_version: str | None
    service_instance: str | None
    attributes: Attributes
    schema_url: str
    first_received_s: int
    received_s: int
    """The last use, within a minute."""


class SpanEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event of a span."""

    time_ns: int
    name: str
    attributes: Attributes
    dropped_attributes: int


class SpanLink(msgspec.Struct, frozen=True, kw_only=True):
    """A link of a span."""

    trace_id: str
    span_id: str
    trace_state: str
    attributes: Attributes
    dropped_attributes: int


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """A span with all that belongs to it. `kind` and `status_code` are OTLP's numbers."""

    id: int
    trace_id: str
    span_id: str
    parent_span_id: str | None
    kind: int
    name: str
    start_ns: int
    duration_ns: int
    status_code: int
    status_message: str
    trace_state: str
    flags: int
    attributes: Attributes
    dropped_attributes: int
    dropped_events: int
    dropped_links: int
    events: tuple[SpanEvent, ...]
    links: tuple[SpanLink, ...]
    resource: Resource
    scope_name: str
    scope_version: str


class LogRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A log record. `body` is a text, or the decoded value where `body_is_json`."""

    id: int
    time_ns: int
    observed_ns: int
    severity_number: int
    severity_text: str
    trace_id: str | None
    span_id: str | None
    logger: str | None
    event_name: str
    message: str
    body: Value
    body_is_json: bool
    attributes: Attributes
    dropped_attributes: int
    resource: Resource
    scope_name: str


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """The line of one request of a gateway: the columns of `requests`; the log record has the same id."""

    log: int
    resource_id: int
    time_ns: int
    trace_id: str | None
    method: str | None
    path: str | None
    status: int | None
    outcome: str | None
    duration_ms: float | None
    overhead_ms: float | None
    response_bytes: int | None
    exception_type: str | None
    limit_type: str | None
    key_id: str | None
    plan: str | None
    operation: str | None
    model: str | None
    provider: str | None
    call_status: str | None
    error_kind: str | None
    cancel_phase: str | None
    stream: bool | None
    cached: bool | None
    attempts: int | None
    input_tokens: int | None
    output_tokens: int | None
    usage_estimated: bool | None
    cost_nanousd: int | None
    cost_source: str | None
    cached_tokens: int | None
    cache_write_tokens: int | None
    reasoning_tokens: int | None
    input_audio_tokens: int | None
    output_audio_tokens: int | None
    unpriced_tokens: int | None
    exposure_nanousd: int | None
    reported_nanousd: int | None
    tags: dict[str, str] | None


class Family(msgspec.Struct, frozen=True, kw_only=True):
    """A metric as one program declares it. `kind`: gauge, sum, histogram, exponential_histogram, summary."""

    id: int
    name: str
    unit: str
    description: str
    kind: str
    temporality: int
    """OTLP: 0 none, 1 delta, 2 cumulative."""
    is_monotonic: bool
    series: int


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """One series of a family."""

    id: int
    metric_id: int
    resource_id: int
    scope_id: int
    attributes: Attributes
    bounds: tuple[float, ...]
    """Of a histogram. When they change, a new series with the same attributes begins."""


class NumberPoint(msgspec.Struct, frozen=True, gc=False):
    """A point of a gauge or sum. `value` None: the series has ended here (no recorded value)."""

    series_id: int
    time_ns: int
    start_ns: int
    value: int | float | None


class HistogramPoint(msgspec.Struct, frozen=True):
    """A point of a histogram; `count` None: the series has ended here.

    `counts` has one more than the bounds of the series, and is not cumulative over the buckets.
    """

    series_id: int
    time_ns: int
    start_ns: int
    count: int | None
    sum: float | None
    min: float | None
    max: float | None
    counts: tuple[int, ...]


class ExponentialPoint(msgspec.Struct, frozen=True):
    """A point of an exponential histogram (OTLP, "ExponentialHistogram"); `count` None: the series has ended here."""

    series_id: int
    time_ns: int
    start_ns: int
    count: int | None
    sum: float | None
    min: float | None
    max: float | None
    scale: int
    zero_count: int
    zero_threshold: float
    positive_offset: int
    positive_counts: tuple[int, ...]
    negative_offset: int
    negative_counts: tuple[int, ...]


class SummaryPoint(msgspec.Struct, frozen=True):
    """A point of a summary; `count` None: the series has ended here."""

    series_id: int
    time_ns: int
    start_ns: int
    count: int | None
    sum: float | None
    quantiles: tuple[tuple[float, float | None], ...]
    """Quantile and value; None where it was no finite number."""


class Exemplar(msgspec.Struct, frozen=True, kw_only=True):
    """A measurement that stands for others in its series; `trace_id` None: it was made outside of a trace."""

    series_id: int
    time_ns: int
    value: int | float
    trace_id: str | None
    span_id: str | None
    attributes: Attributes


class StoreState(msgspec.Struct, frozen=True, kw_only=True):
    """What the file holds, for the page of the pipeline. `received`, `refused`, `deleted`: items by signal since the file was made."""

    bytes_used: int
    max_bytes: int
    spans: int
    log_records: int
    points: int
    series: int
    received: dict[str, int]
    refused: dict[str, int]
    deleted: dict[str, int]
    oldest_received_s: int | None
