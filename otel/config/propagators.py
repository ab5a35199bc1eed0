"""Reads `OTEL_PROPAGATORS`: how trace context comes in and goes out."""

from typing import Final

from otel.config.otlp import TelemetryConfigError
from otel.config.values import EnvironReader, shown

DEFAULT_PROPAGATORS: Final = ("tracecontext",)

_NAME: Final = "OTEL_PROPAGATORS"
_SUPPORTED: Final = ("tracecontext", "baggage", "b3", "b3multi", "none")


def read_propagators(reader: EnvironReader) -> tuple[str, ...]:
    """Return the names in the variable's order, empty for `none`.

    Raises `TelemetryConfigError` for a name that is not supported. A warning would not do: callers
    that send the format would get traces of their own, and nothing would show it.
    """
    names = [part.strip().lower() for part in (reader.text(_NAME) or "").split(",")]
    for name in names:
        if name and name not in _SUPPORTED:
            allowed = ", ".join(_SUPPORTED)
            raise TelemetryConfigError(f"{_NAME} names {shown(name)}, which is not supported: use some of {allowed}")
    chosen = reader.choices(_NAME, _SUPPORTED, used=f"using {', '.join(DEFAULT_PROPAGATORS)}")
    return tuple(each for each in chosen or DEFAULT_PROPAGATORS if each != "none")
