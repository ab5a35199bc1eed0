"""The screen of the pipeline: what senders queue, drop and export, what this console holds, series per family."""

from pathlib import Path
from typing import Any, Final

from console.query.doctor_result import place_of, read_doctor
from console.query.gauges import Latest, read_latest
from console.query.shapes.base import Bases, Basis
from console.query.shapes.pipeline import (
    FamilySeries,
    Pipeline,
    SignalDelivery,
    StoredSignal,
    StoreState,
)
from console.query.times import to_seconds
from console.query.view import View
from console.store.read_metrics import read_families
from console.store.rows import StoreState as Stored
from otel.catalogue import self_telemetry, semconv

MAX_FAMILIES: Final = 200

_PREFIX: Final = "gatewayz_"

BASIS: Final[Bases] = {
    "deliveries.queued_items": Basis(
        source=f"metric {self_telemetry.QUEUED_ITEMS}", window_seconds=None, formula="latest"
    ),
    "deliveries.queued_bytes": Basis(
        source=f"metric {self_telemetry.QUEUED_BYTES}", window_seconds=None, formula="latest"
    ),
    "deliveries.exported": Basis(
        source=f"metric {self_telemetry.EXPORTED}", window_seconds=None, formula="latest, since the sender started"
    ),
    "deliveries.dropped": Basis(
        source=f"metric {self_telemetry.DROPPED}", window_seconds=None, formula="latest, since the sender started"
    ),
    "deliveries.retries": Basis(
        source=f"metric {self_telemetry.RETRIES}", window_seconds=None, formula="latest, since the sender started"
    ),
    "store": Basis(source="this console", window_seconds=None, formula="now; counts since its file was made"),
    "families.series": Basis(source="this console", window_seconds=None, formula="series with retained points"),
    "families.overflow": Basis(
        source=f"metric {self_telemetry.OVERFLOW}", window_seconds=None, formula="latest, since the sender started"
    ),
    "doctor": Basis(
        source="doctor.json beside the console's file", window_seconds=None, formula="gatewayz doctor --json"
    ),
}


def read_pipeline(view: View, stored: Stored, doctor_file: Path, home: Path | None) -> Pipeline:
    """Return the screen. `stored` is the store's state, `doctor_file` where a result of the doctor may be, `home` the user's folder."""
    overflow: dict[str, float] = {}
    for sample in _latest(view, self_telemetry.OVERFLOW):
        name = sample.labels.get(semconv.METRIC, "")
        overflow[name] = overflow.get(name, 0.0) + sample.value
    counts: dict[str, int] = {}
    for family in read_families(view.connection):
        counts[family.name] = counts.get(family.name, 0) + family.series
    families = [
        FamilySeries(name=name, series=series, overflow=overflow.get(name)) for name, series in counts.items() if series
    ]
    families.sort(key=lambda family: (-family.series, family.name))
    return Pipeline(
        at=to_seconds(view.now_ns),
        deliveries=_deliveries(view),
        store=_store(stored),
        families=families[:MAX_FAMILIES],
        families_truncated=len(families) > MAX_FAMILIES,
        doctor=read_doctor(doctor_file),
        doctor_file=place_of(doctor_file, home),
        basis=BASIS,
    )


def _latest(view: View, name: str) -> list[Latest]:
    """Return the samples of a gateway's metric, and of the same without its prefix, as an instrumented application has it."""
    return [*read_latest(view, name), *read_latest(view, name.removeprefix(_PREFIX))]


def _deliveries(view: View) -> list[SignalDelivery]:
    """Return a row per sender and signal."""
    found: dict[tuple[int, str], dict[str, Any]] = {}
    for field, name in (
        ("queued_items", self_telemetry.QUEUED_ITEMS),
        ("queued_bytes", self_telemetry.QUEUED_BYTES),
        ("exported", self_telemetry.EXPORTED),
        ("retries", self_telemetry.RETRIES),
        ("dropped", self_telemetry.DROPPED),
    ):
        for sample in _latest(view, name):
            row = found.setdefault(
                (sample.resource_id, sample.labels.get(semconv.SIGNAL, "")), {"dropped": {}, "at": 0}
            )
            row["at"] = max(row["at"], sample.time_ns)
            if field == "dropped":
                _add_dropped(row["dropped"], sample)
            else:
                row[field] = sample.value
    rows = [_delivery(view, resource_id, signal, row) for (resource_id, signal), row in found.items()]
    rows.sort(key=lambda row: (row.service, row.instance or "", row.signal))
    return rows


def _add_dropped(dropped: dict[str, float], sample: Latest) -> None:
    reason = sample.labels.get(semconv.REASON, "")
    dropped[reason] = dropped.get(reason, 0.0) + sample.value


def _delivery(view: View, resource_id: int, signal: str, row: dict[str, Any]) -> SignalDelivery:
    resource = view.resources[resource_id]
    return SignalDelivery(
        service=resource.service_name or "",
        instance=resource.service_instance,
        signal=signal,
        queued_items=row.get("queued_items"),
        queued_bytes=row.get("queued_bytes"),
        exported=row.get("exported"),
        dropped=row["dropped"],
        retries=row.get("retries"),
        newest_sample=to_seconds(row["at"]),
    )


def _store(stored: Stored) -> StoreState:
    return StoreState(
        bytes=stored.bytes_used,
        max_bytes=stored.max_bytes,
        spans=stored.spans,
        log_records=stored.log_records,
        points=stored.points,
        series=stored.series,
        oldest=None if stored.oldest_received_s is None else float(stored.oldest_received_s),
        signals=[
            StoredSignal(
                signal=signal,
                received=count,
                refused=stored.refused.get(signal, 0),
                deleted=stored.deleted.get(signal, 0),
            )
            for signal, count in stored.received.items()
        ],
    )
