"""SYNTAX: what text 0.0.4 and OpenMetrics 1.0.0 share: names, label pairs and numbers.

Comes in: OpenTelemetry names and attribute values of any kind. Goes out: text that every parser of
either format accepts. Rules: "Prometheus and OpenMetrics Compatibility" of the OpenTelemetry
specification, with no suffix ever added.
"""

import json
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

_NOT_IN_NAMES: Final = re.compile(r"[^a-zA-Z0-9:]+")
_NOT_IN_KEYS: Final = re.compile(r"[^a-zA-Z0-9]+")
_ANNOTATION: Final = re.compile(r"\{[^}]*\}")
_LARGEST_PLAIN_INTEGER: Final = 2**63

_UNIT_WORDS: Final = {
    "d": "days",
    "h": "hours",
    "min": "minutes",
    "s": "seconds",
    "ms": "milliseconds",
    "us": "microseconds",
    "ns": "nanoseconds",
    "By": "bytes",
    "KiBy": "kibibytes",
    "MiBy": "mebibytes",
    "GiBy": "gibibytes",
    "V": "volts",
    "A": "amperes",
    "J": "joules",
    "W": "watts",
    "g": "grams",
    "m": "meters",
    "Cel": "celsius",
    "Hz": "hertz",
    "%": "percent",
}


def metric_name(name: str) -> str:
    """Return `name` as a metric name: runs of other characters and of `_` become one `_`, a leading digit gets one."""
    clean = _NOT_IN_NAMES.sub("_", name) or "_"
    return f"_{clean}" if clean[0].isdigit() else clean


def label_key(key: str) -> str:
    """Return an attribute key as a label key, by the same rule (a label key has no colon)."""
    clean = _NOT_IN_KEYS.sub("_", key) or "_"
    return f"_{clean}" if clean[0].isdigit() else clean


def unit_word(unit: str) -> str:
    """Return the word that a name ends with for a UCUM unit; empty where there is none."""
    return _UNIT_WORDS.get(_ANNOTATION.sub("", unit), "")


def label_value(value: Any) -> str:
    """Return an attribute value as text: strings as they are, everything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, default=str)


def escape_label_value(text: str) -> str:
    """Escape backslash, quote and line feed; both formats do it this way."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def label_pairs(attributes: Mapping[str, Any] | None, documented: Iterable[str], *, reserved: str = "") -> str:
    """Return `a="1",b="2"`: the documented keys first and in their order, missing ones empty, then the others sorted.

    Others with an empty value are left out: Prometheus takes an empty label for an absent one, so equal series get equal text.
    Keys that become equal share one label, with their values joined by `;` in the order of the original keys. A key equal to
    `reserved` (`le` in a histogram) is exposed as `exported_<key>`.
    """
    labels = dict.fromkeys(documented, "")
    joined: set[str] = set()
    others: dict[str, str] = {}
    for original in sorted(attributes or ()):
        key = label_key(original)
        if key == reserved:
            key = f"exported_{key}"
        value = label_value((attributes or {})[original])
        target = labels if key in labels else others
        target[key] = f"{target[key]};{value}" if key in joined else value
        joined.add(key)
    pairs = [*labels.items(), *sorted((key, value) for key, value in others.items() if value)]
    return ",".join(f'{key}="{escape_label_value(value)}"' for key, value in pairs)


def number(value: float) -> str:
    """Return a sample value: integers without a point, floats in the shortest form that reads back the same."""
    if type(value) is int and -_LARGEST_PLAIN_INTEGER < value < _LARGEST_PLAIN_INTEGER:
        return str(value)
    try:
        as_float = float(value)
    except OverflowError:
        as_float = math.inf if value > 0 else -math.inf
    if math.isfinite(as_float):
        return repr(as_float)
    if math.isnan(as_float):
        return "NaN"
    return "+Inf" if as_float > 0 else "-Inf"
