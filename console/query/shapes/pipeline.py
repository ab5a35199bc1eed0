"""Annotations of charts, and the state of the pipeline."""

from typing import Literal

from console.query.shapes.base import Attributes, Bases, Shape, Window


class Annotation(Shape, frozen=True):
    """Something that happened, for the time axis of every chart."""

    at: float
    kind: Literal["anomaly", "breaker", "deployment", "restart"]
    title: str
    service: str | None
    provider: str | None
    model: str | None
    trace_id: str | None
    fields: Attributes


class Annotations(Shape, frozen=True):
    """GET /api/annotations, the oldest first."""

    window: Window
    annotations: list[Annotation]
    truncated: bool
    basis: Bases


class SignalDelivery(Shape, frozen=True):
    """What a sender reports about one signal: latest values, since the sender started."""

    service: str
    instance: str | None
    signal: str
    queued_items: float | None
    queued_bytes: float | None
    exported: float | None
    dropped: dict[str, float]
    """By reason; empty where the sender reports nothing."""
    retries: float | None
    newest_sample: float | None


class StoredSignal(Shape, frozen=True):
    """What this console did with one signal, since its file was made."""

    signal: str
    received: int
    """Spans, log records or points."""
    refused: int
    """refused with 429 or 503: the sender retains and repeats them."""
    deleted: int
    """Removed because of age, rows or bytes."""


class StoreState(Shape, frozen=True):
    """The console's own file."""

    bytes: int
    max_bytes: int
    spans: int
    log_records: int
    points: int
    series: int
    oldest: float | None
    signals: list[StoredSignal]


class FamilySeries(Shape, frozen=True):
    """How many series a family has."""

    name: str
    series: int
    overflow: float | None
    """Measurements that the sender's series limit moved to its overflow series; None where it reports none."""


class DoctorFinding(Shape, frozen=True):
    """One finding of `gatewayz doctor`."""

    status: str
    title: str
    detail: str


class DoctorResult(Shape, frozen=True):
    """The newest result that somebody stored for the console."""

    at: float
    findings: list[DoctorFinding]


class Pipeline(Shape, frozen=True):
    """GET /api/pipeline."""

    at: float
    deliveries: list[SignalDelivery]
    store: StoreState
    families: list[FamilySeries]
    """The largest first."""
    families_truncated: bool
    doctor: DoctorResult | None
    """None where no result was stored."""
    doctor_file: str
    """Where the console looks for it: below the home folder, or in FOLDER, that of the console's file."""
    basis: Bases
