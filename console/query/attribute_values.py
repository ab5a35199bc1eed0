"""Attribute values as a browser can read them: integers beyond 2^53 lose digits in JavaScript.

Such an integer becomes OTLP/JSON's tagged object, `{"intValue": "9007199254740993"}`.
"""

from collections.abc import Mapping
from typing import Any, Final

from console.query.shapes.base import Attributes

_SAFE: Final = 2**53


def safe_attributes(attributes: Mapping[str, Any]) -> Attributes:
    """Return the attributes with such integers replaced, nested ones too."""
    return {key: _safe(value) for key, value in attributes.items()}


def _safe(value: Any) -> Any:
    if isinstance(value, list):
        return [_safe(each) for each in value]
    if isinstance(value, dict):
        return {key: _safe(each) for key, each in value.items()}
    is_long = isinstance(value, int) and not isinstance(value, bool) and not -_SAFE <= value <= _SAFE
    return {"intValue": str(value)} if is_long else value
