"""Attribute values as a browser can read them: integers beyond 2^53 lose digits in JavaScript.

Such an integer becomes OTLP/JSON's tagged object, `{"intValue": "9007199254740993"}`. What is nested
deeper than a sender of OTLP can, as in a log line of JSON, becomes the text of its JSON.
"""

from collections.abc import Mapping
from typing import Any, Final

from console.query.shapes.base import Attributes
from console.store.values import encode

_SAFE: Final = 2**53
_MAX_DEPTH: Final = 50
"""Protobuf's parsers take messages of 100 levels, two of which are one level of a value."""
_UNREADABLE: Final = "(nested too deeply)"


def safe_attributes(attributes: Mapping[str, Any]) -> Attributes:
    """Return the attributes with such integers replaced, nested ones too."""
    return {key: _safe(value, 1) for key, value in attributes.items()}


def _safe(value: Any, depth: int) -> Any:
    if isinstance(value, list | dict) and depth > _MAX_DEPTH:
        return _json(value)
    if isinstance(value, list):
        return [_safe(each, depth + 1) for each in value]
    if isinstance(value, dict):
        return {key: _safe(each, depth + 1) for key, each in value.items()}
    is_long = isinstance(value, int) and not isinstance(value, bool) and not -_SAFE <= value <= _SAFE
    return {"intValue": str(value)} if is_long else value


def _json(value: Any) -> str:
    try:
        return encode(value)
    except RecursionError:
        return _UNREADABLE
