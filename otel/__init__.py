"""Instrumentation of any Python service on OpenTelemetry: metrics, spans and log lines, exported and exposed.

    instrument -> events -> recording -> metrics | traces | logs -> delivery (OTLP)
                                         metrics -> exposition -> instrument.metrics_app (/metrics)

`telemetry` is the door; `pipeline` builds the parts from `config` and runs them. Names are from
`catalogue`, label values from `labels`, and secrets end at `redaction`.

Public is what `__all__` names; every other module may change. No web framework is imported.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from otel.delivery import DeliveryReport
    from otel.instrument.own_metrics import Counter, Gauge, Histogram, MetricError
    from otel.telemetry import Telemetry

__all__ = ["Counter", "DeliveryReport", "Gauge", "Histogram", "MetricError", "Telemetry"]

_HOMES: Final = {
    "Counter": "otel.instrument.own_metrics",
    "DeliveryReport": "otel.delivery",
    "Gauge": "otel.instrument.own_metrics",
    "Histogram": "otel.instrument.own_metrics",
    "MetricError": "otel.instrument.own_metrics",
    "Telemetry": "otel.telemetry",
}


if not TYPE_CHECKING:  # to a type checker only the names above exist

    def __getattr__(name: str) -> object:
        """Import a public name when it is first used: the SDK takes a second, which the events alone do not need."""
        home = _HOMES.get(name)
        if home is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}; public are {', '.join(__all__)}")
        found: object = getattr(import_module(home), name)
        globals()[name] = found
        return found
