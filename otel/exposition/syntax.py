"""What text 0.0.4 and OpenMetrics 1.0.0 share: names, label pairs and numbers.

Any OpenTelemetry name or attribute value becomes text that every parser of either format accepts.
Rules: "Prometheus and OpenMetrics Compatibility" of the OpenTelemetry specification, except that no
suffix is added.
"""

import json
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

_NOT_IN_NAMES: Final = re.compile(r"[^a-zA-Z0-9:]+")
_NOT_IN_KEYS: Final = re.compile(r"[^a-zA-Z0-9]+")
_ANNOTATION: Final = re.compile(r"\{[^}]*\}")
_INTEGER_LIMIT: Final = 2**63

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
    """Return a metric name: runs of other characters become `_`, a leading digit gets a `_`."""
    clean = _NOT_IN_NAMES.sub("_", name) or "_"
    return f"_{clean}" if clean[0].isdigit() else clean


def label_key(key: str) -> str:
    """Return a label key, by the rule of metric names but without colons."""
    clean = _NOT_IN_KEYS.sub("_", key) or "_"
    return f"_{clean}" if clean[0].isdigit() else clean


def unit_word(unit: str) -> str:
    """Return the word for a UCUM unit at the end of a name; empty where there is none."""
    return _UNIT_WORDS.get(_ANNOTATION.sub("", unit), "")


def label_value(value: Any) -> str:
    """Return an attribute value as text: strings as they are, everything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, default=str)


def escape_label_value(text: str) -> str:
    """Escape backslash, quote and line feed, as both formats require."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def label_pairs(attributes: Mapping[str, Any] | None, documented: Iterable[str], *, reserved: str = "") -> str:
    """Return `a="1",b="2"`: documented keys in their order, then the others sorted.

    Missing documented keys are empty. Other keys with an empty value are omitted: to Prometheus an
    empty label is an absent one, so equal series get equal text. Keys that become equal share one
    label; their values are joined by `;` in the order of the original keys. A key equal to
    `reserved` (`le` in a histogram) becomes `exported_<key>`.
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
    """Return a sample value: integers without a point, floats in their shortest exact form."""
    if type(value) is int and -_INTEGER_LIMIT < value < _INTEGER_LIMIT:
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
