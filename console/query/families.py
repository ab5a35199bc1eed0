"""The metric families that were received, and what can be drawn of each."""

from typing import Final

from console.query.shapes.metrics import Families, Function, MetricType, Temporality
from console.query.shapes.metrics import Family as FamilyShape
from console.query.view import View
from console.store.read_metrics import read_families
from console.store.rows import Family
from console.store.values import decode as _decode

MAX_FAMILIES: Final = 1_000
_SERIES_LOOKED_AT: Final = 200
"""Series of a family whose labels and services are listed."""

TEMPORALITIES: Final[tuple[Temporality, ...]] = ("none", "delta", "cumulative")
_TYPES: Final[dict[str, MetricType]] = {
    "gauge": "gauge",
    "sum": "sum",
    "histogram": "histogram",
    "exponential_histogram": "exponential_histogram",
    "summary": "summary",
}


def metric_type(family: Family) -> MetricType:
    """Return the type of a stored family."""
    return _TYPES.get(family.kind, "gauge")


def functions_of(family: Family) -> tuple[Function, ...]:
    """Return what can be drawn, the usual one first."""
    if family.kind == "histogram":
        return ("quantile", "rate", "average", "increase", "buckets")
    if family.kind == "exponential_histogram":
        return ("quantile", "rate", "average", "increase")
    if family.kind == "summary":
        return ("value", "rate", "average", "increase")
    if family.kind == "sum" and TEMPORALITIES[family.temporality] == "delta":
        return ("rate", "increase")
    if family.kind == "sum" and family.is_monotonic:
        return ("rate", "increase", "value")
    return ("value",)


def read_family_list(view: View, services: tuple[str, ...]) -> Families:
    """Return the families by name, of these services or of all."""
    wanted = set(view.resource_ids(services)) if services else None
    found = [shown for family in read_families(view.connection) if (shown := _shown(view, family, wanted)) is not None]
    return Families(families=found[:MAX_FAMILIES], truncated=len(found) > MAX_FAMILIES)


def _shown(view: View, family: Family, wanted: set[int] | None) -> FamilyShape | None:
    """Return a family; None where it has no series of the wanted resources."""
    labels: set[str] = set()
    services: set[str] = set()
    count, newest_s = 0, 0
    for resource_id, received_s, attributes in view.connection.execute(
        "SELECT resource_id, received_s, attributes FROM series WHERE metric_id = ?", (family.id,)
    ):
        if wanted is not None and resource_id not in wanted:
            continue
        count += 1
        newest_s = max(newest_s, received_s)
        service = view.service(resource_id)
        services |= set() if service is None else {service}
        if count <= _SERIES_LOOKED_AT:
            labels |= view.labels(_decode(attributes), resource_id).keys()
    if not count:
        return None
    return FamilyShape(
        name=family.name,
        type=metric_type(family),
        temporality=TEMPORALITIES[family.temporality],
        monotonic=family.is_monotonic,
        unit=family.unit,
        description=family.description,
        labels=sorted(labels),
        series=count,
        services=sorted(services),
        newest=float(newest_s),
        functions=list(functions_of(family)),
    )
