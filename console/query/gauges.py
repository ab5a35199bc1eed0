"""The latest value of each series of a gauge, while it is fresh and its sender has not ended it."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from console.query.last_samples import read_latest_rows
from console.query.series.samples import LOOKBACK_MS
from console.query.shapes.base import Labels
from console.query.times import MS
from console.query.view import View
from console.store.read_metrics import read_families, read_series


class Latest(NamedTuple):
    """One series."""

    labels: Labels
    resource_id: int
    time_ns: int
    value: float


def read_latest(view: View, name: str, keep: Callable[[Labels], bool] = lambda _: True) -> list[Latest]:
    """Return the series of a gauge or sum whose latest sample is of the last 5 minutes and has a value.

    Prometheus' rule for the current value: `LOOKBACK_MS`, stale markers.
    """
    found = []
    for family in read_families(view.connection, name):
        if family.kind not in {"gauge", "sum"}:
            continue
        kept = {
            series.id: (series.resource_id, labels)
            for series in read_series(view.connection, family.id)
            if keep(labels := view.labels(series.attributes, series.resource_id))
        }
        latest = read_latest_rows(view.connection, kept, view.now_ns, view.now_ns - LOOKBACK_MS * MS)
        found += [
            Latest(labels, resource_id, latest[series_id][0], float(value))
            for series_id, (resource_id, labels) in kept.items()
            if series_id in latest and isinstance(value := latest[series_id][1], int | float)
        ]
    return found


def latest_by(samples: Iterable[Latest], label: str) -> dict[str, list[Latest]]:
    """Return the samples grouped by one label."""
    groups: dict[str, list[Latest]] = {}
    for sample in samples:
        groups.setdefault(sample.labels.get(label, ""), []).append(sample)
    return groups


def sum_of(samples: Iterable[Latest]) -> float | None:
    """Return the sum over all series; None without any."""
    values = [sample.value for sample in samples]
    return sum(values) if values else None
