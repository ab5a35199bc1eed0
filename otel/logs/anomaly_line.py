"""The log line of an anomaly: its message and the numbers behind it.

The fields are scalars and bounded names; they are also the attributes of the span event.
"""

from typing import Final

from otel.events import AnomalyBegan
from otel.labels import LabelBounds

LOGGER: Final = "gatewayz.anomaly"

_DIGITS: Final = 4
_MAX_ALSO: Final = 20


def anomaly_message(event: AnomalyBegan, bounds: LabelBounds) -> str:
    """Return the line's message."""
    return (
        f"{event.type} of {event.scope} {_name(event.scope, event.name, bounds)}: {event.signal} "
        f"{_short(event.value)}, usually {_short(event.baseline)}"
    )


def anomaly_fields(event: AnomalyBegan, bounds: LabelBounds) -> dict[str, str | int | float]:
    """Return the fields.

    `provider` or `model` only for that scope, `also` only where other scopes show the anomaly.
    """
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
    """Return the name as a bounded label value."""
    if scope == "provider":
        return bounds.provider(name)
    return bounds.model(name) if scope == "model" else name


def _short(value: float) -> float:
    """Return the value rounded to significant digits."""
    return float(f"{value:.{_DIGITS}g}")
