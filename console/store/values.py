"""Attribute values as they are stored: JSON that keeps what OTLP distinguishes.

An integer stays an integer and a float a float. What JSON lacks is a tagged object as in OTLP/JSON.
"""

import math
from base64 import b64encode
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

import msgspec

Value: TypeAlias = bool | int | float | str | list["Value"] | dict[str, "Value"] | None
"""A stored value, decoded."""
Attributes: TypeAlias = Mapping[str, Value]

EMPTY: Final = "{}"

_encoder: Final = msgspec.json.Encoder()
_sorted_encoder: Final = msgspec.json.Encoder(order="sorted")
_decoder: Final = msgspec.json.Decoder()


def tagged_bytes(value: bytes) -> dict[str, Value]:
    """Return what stands for bytes."""
    return {"bytesValue": b64encode(value).decode()}


def tagged_float(value: float) -> Value:
    """Return the float, or what stands for NaN and infinities."""
    if math.isfinite(value):
        return value
    return {"doubleValue": "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"}


def encode(value: Any) -> str:
    """Return the JSON of a value."""
    return _encoder.encode(value).decode()


def encode_sorted(value: Any) -> str:
    """Return the JSON of a value with the keys of all objects in their order: equal values, equal text."""
    return _sorted_encoder.encode(value).decode()


def decode(text: str) -> Any:
    """Return the value of stored JSON."""
    return _decoder.decode(text)
