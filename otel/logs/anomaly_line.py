"""ANOMALY LOG: the line of an anomaly, with the numbers that made it fire.

Comes in: the event. Goes out: its message and its fields, as scalars, which are also the attributes
of the span event. Names are bounded.
"""

from typing import Final

from otel.events import AnomalyBegan
from otel.labels import LabelBounds

LOGGER: Final = "gatewayz.anomaly"

_DIGITS: Final = 4
_MAX_ALSO: Final = 20


def anomaly_message(event: AnomalyBegan, bounds: LabelBounds) -> str:
    """Return what a person reads first."""
    return (
        f"{event.type} of {event.scope} {_name(event.scope, event.name, bounds)}: {event.signal} "
        f"{_short(event.value)}, usually {_short(event.baseline)}"
    )


def anomaly_fields(event: AnomalyBegan, bounds: LabelBounds) -> dict[str, str | int | float]:
    """Return the fields. `provider` or `model` is there where it is one of them; `also` lists the other scopes that show it."""
    fields: dict[str, str | int | float] = {
        "type": event.type,
        "scope": event.scope,
        "signal": event.signal,
        "value": _short(event.value),
        "baseline": _short(event.baseline),
        "spread": _short(event.spread),
        "threshold": _short(event.threshold),
        "samples": event.samples,
        "window_minutes": event.window_minutes,
    }
    if event.scope != "gateway":
        fields[event.scope] = _name(event.scope, event.name, bounds)
    if event.also:
        others = (each.partition(":") for each in event.also[:_MAX_ALSO])
        fields["also"] = " ".join(f"{kind}:{_name(kind, name, bounds)}" for kind, _, name in others)
    return fields


def _name(scope: str, name: str, bounds: LabelBounds) -> str:
    """Return the name as a label would have it."""
    if scope == "provider":
        return bounds.provider(name)
    return bounds.model(name) if scope == "model" else name


def _short(value: float) -> float:
    """Return the value with as many digits as say something."""
    return float(f"{value:.{_DIGITS}g}")
