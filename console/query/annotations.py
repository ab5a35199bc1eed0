"""What happened, for the time axis of every chart: anomalies, breaker changes, new versions and restarts."""

from collections.abc import Collection, Iterator
from typing import Any, Final

from console.query.attribute_values import safe_attributes
from console.query.log_rows import fields_of
from console.query.shapes.base import Bases, Basis
from console.query.shapes.pipeline import Annotation, Annotations
from console.query.times import SECOND, to_seconds
from console.query.view import View
from console.query.windows import covered_window
from console.store.read_logs import read_log_records
from console.store.read_metrics import read_families, read_series
from console.store.rows import Program
from otel.catalogue import providers, semconv

KINDS: Final = ("anomaly", "breaker", "deployment", "restart")
MOST: Final = 500
_ANOMALY_LOGGER: Final = "gatewayz.anomaly"
_HIDDEN: Final = frozenset({"timestamp", "level", "logger", "message"})
_MOST_POINTS: Final = 20_000

BASIS: Final[Bases] = {
    "anomaly": Basis(source="lines of gatewayz.anomaly", window_seconds=None),
    "breaker": Basis(
        source=f"metric {providers.BREAKER_TRANSITIONS}",
        window_seconds=None,
        formula="each sample that is higher than the one before: late by up to one push",
    ),
    "deployment": Basis(source="resources", window_seconds=None, formula="first telemetry of another service.version"),
    "restart": Basis(source="resources", window_seconds=None, formula="first telemetry of another service.instance.id"),
}


def read_annotations(
    view: View, kinds: Collection[str], services: Collection[str], *, begin_ns: int, end_ns: int
) -> Annotations:
    """Return what happened, the oldest first; where it is too much, the newest."""
    found: list[Annotation] = []
    if "anomaly" in kinds:
        found += _anomalies(view, begin_ns, end_ns)
    if "breaker" in kinds:
        found += _breaker_changes(view, begin_ns, end_ns)
    found += [each for each in _starts(view, begin_ns, end_ns) if each.kind in kinds]
    wanted = [each for each in found if not services or each.service in services]
    wanted.sort(key=lambda each: each.at)
    return Annotations(
        window=covered_window(view, "resources", begin_ns, end_ns),
        annotations=wanted[-MOST:],
        truncated=len(wanted) > MOST,
        basis=BASIS,
    )


def _anomalies(view: View, begin_ns: int, end_ns: int) -> Iterator[Annotation]:
    rows = view.connection.execute(
        "SELECT id FROM log_records INDEXED BY log_records_by_logger"
        " WHERE logger = ? AND time_ns >= ? AND time_ns < ? ORDER BY time_ns DESC LIMIT ?",
        (_ANOMALY_LOGGER, begin_ns, end_ns, MOST + 1),
    ).fetchall()
    for record in read_log_records(view.connection, (row[0] for row in rows)):
        fields = fields_of(record)
        yield Annotation(
            at=to_seconds(record.time_ns),
            kind="anomaly",
            title=record.message,
            service=record.resource.service_name,
            provider=_text(fields.get("provider")),
            model=_text(fields.get("model")),
            trace_id=record.trace_id,
            fields=safe_attributes({name: value for name, value in fields.items() if name not in _HIDDEN}),
        )


def _breaker_changes(view: View, begin_ns: int, end_ns: int) -> Iterator[Annotation]:
    for family in read_families(view.connection, providers.BREAKER_TRANSITIONS):
        for series in read_series(view.connection, family.id):
            labels = view.labels(series.attributes, series.resource_id)
            provider, state = labels.get(semconv.PROVIDER, ""), labels.get(semconv.STATE, "")
            for time_ns, count in _rises(view, series.id, begin_ns, end_ns):
                yield Annotation(
                    at=to_seconds(time_ns),
                    kind="breaker",
                    title=f"circuit breaker of {provider}: {state}",
                    service=view.service(series.resource_id),
                    provider=provider,
                    model=None,
                    trace_id=None,
                    fields={"state": state, "transitions": count},
                )


def _rises(view: View, series_id: int, begin_ns: int, end_ns: int) -> Iterator[tuple[int, float]]:
    """Return when a counter rose in the window, and by how much; a first sample counts from 0 if it began there."""
    before = view.connection.execute(
        "SELECT value FROM number_points WHERE series_id = ? AND time_ns < ? AND typeof(value) IN ('integer', 'real')"
        " ORDER BY time_ns DESC LIMIT 1",
        (series_id, begin_ns),
    ).fetchone()
    last = None if before is None else before[0]
    for time_ns, start_ns, value in view.connection.execute(
        "SELECT time_ns, start_ns, value FROM number_points WHERE series_id = ? AND time_ns >= ? AND time_ns < ?"
        " AND typeof(value) IN ('integer', 'real') ORDER BY time_ns LIMIT ?",
        (series_id, begin_ns, end_ns, _MOST_POINTS),
    ):
        if last is None:
            last = 0 if start_ns >= begin_ns else value
        rise = value - last if value >= last else value
        last = value
        if rise > 0:
            yield time_ns, rise


def _starts(view: View, begin_ns: int, end_ns: int) -> Iterator[Annotation]:
    """Return the first telemetry of each instance of a service but the first one."""
    newest: dict[str, Program] = {}
    instances: set[tuple[str, str | None]] = set()
    for resource in sorted(view.resources.values(), key=lambda each: (each.first_received_s, each.id)):
        name = resource.service_name or ""
        before = newest.get(name)
        identity = (name, resource.service_instance)
        if identity in instances:
            continue
        instances.add(identity)
        newest[name] = resource
        at_ns = resource.first_received_s * SECOND
        if before is None or not begin_ns <= at_ns < end_ns:
            continue
        is_new = before.service_version != resource.service_version
        version = resource.service_version or "unknown"
        yield Annotation(
            at=to_seconds(at_ns),
            kind="deployment" if is_new else "restart",
            title=f"{name} {version} deployed" if is_new else f"{name} {version} started again or scaled out",
            service=resource.service_name,
            provider=None,
            model=None,
            trace_id=None,
            fields={
                "version": resource.service_version,
                "previous_version": before.service_version,
                "instance": resource.service_instance,
            },
        )


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
