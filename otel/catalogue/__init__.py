"""The metric catalogue: one table of families per subject, the only place where a metric is named.

    http, inference, money, causes, providers, business, gateway, self_telemetry, process -> CATALOGUE
    CATALOGUE -> instruments, views, endpoints, reference page, summary

Dashboards and alert rules are checked against it. A new metric is one entry in a table, and one
line in `otel/metrics/measurements.py` where an event updates it (tokens and money:
`usage_measurements.py`), or a callback in a `gauges.py`.
"""

from typing import Final

from otel.catalogue import business, causes, gateway, http, inference, money, process, providers, self_telemetry
from otel.catalogue.spec import Category, MetricSpec

DOCUMENTED_FAMILIES: Final[tuple[MetricSpec, ...]] = (
    *http.FAMILIES,
    *gateway.ANOMALIES,
    *providers.DOCUMENTED,
    *inference.DOCUMENTED,
    *business.DOCUMENTED,
    *gateway.DOCUMENTED,
)
"""The documented metrics, and `fastapi_responses_total`."""

CATALOGUE: Final[tuple[MetricSpec, ...]] = (
    *DOCUMENTED_FAMILIES,
    *inference.FURTHER,
    *money.FURTHER,
    *causes.FAMILIES,
    *providers.FURTHER,
    *gateway.FURTHER,
    *business.FURTHER,
    *self_telemetry.FAMILIES,
    *process.FAMILIES,
)
"""Every family, in the order of expositions and of the reference page."""


def families_of(category: Category) -> tuple[MetricSpec, ...]:
    """Return the families that the endpoint of `category` serves, in catalogue order."""
    return tuple(spec for spec in CATALOGUE if category in spec.categories)
