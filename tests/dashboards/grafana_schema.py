"""Holds a board against Grafana's own schema, as the types that grafana-foundation-sdk generates from it describe it.

The types read JSON without looking at it. Here each value is compared with the type of its
attribute, and each key with what the types write again.
"""

import enum
import json
import types
import typing
import warnings
from collections.abc import Iterator
from typing import Any

with warnings.catch_warnings():
    # The types of Classic JSON are called deprecated in favour of a form that file provisioning does not read everywhere.
    warnings.simplefilter("ignore", DeprecationWarning)
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.cog.plugins import register_default_plugins
    from grafana_foundation_sdk.models import units
    from grafana_foundation_sdk.models.dashboard import Dashboard

OF_THE_FILE = frozenset({"__inputs"})
"""Keys of an importable file that are no part of a board."""

UNITS = frozenset(value for value in vars(units).values() if isinstance(value, str))


def schema_problems(document: dict[str, Any]) -> list[str]:
    """Return one line for each value of another type than Grafana's, and for each key that Grafana does not know."""
    register_default_plugins()
    board = {key: value for key, value in document.items() if key not in OF_THE_FILE}
    parsed = Dashboard.from_json(board)
    written = json.loads(JSONEncoder().encode(parsed))
    return [*_wrong_types(parsed, Dashboard, "board"), *_lost(board, written, "board")]


def _wrong_types(value: Any, hint: Any, path: str) -> Iterator[str]:
    """Yield what does not fit a type hint."""
    if isinstance(value, dict) and hasattr(hint, "from_json"):
        value = hint.from_json(value)  # the types leave a panel's links as they are
    if hasattr(value, "to_json") and not isinstance(value, enum.Enum):
        yield from _wrong_attributes(value, hint, path)
        return
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        problems = [list(_wrong_types(value, each, path)) for each in arguments]
        if all(problems):
            yield problems[0][0]
    elif origin in (list, dict) and isinstance(value, origin):
        items = enumerate(value) if isinstance(value, list) else value.items()
        for key, each in items:
            yield from _wrong_types(each, arguments[-1], f"{path}[{key}]")
    elif not _fits(value, hint, origin, arguments):
        yield f"{path}: {value!r} is no {getattr(hint, '__name__', hint)}"


def _wrong_attributes(value: Any, hint: Any, path: str) -> Iterator[str]:
    """Yield what does not fit in an object of a generated type."""
    if isinstance(hint, type) and hint is not object and not isinstance(value, hint):
        yield f"{path}: a {type(value).__name__} in place of a {hint.__name__}"
    for name, inner in typing.get_type_hints(type(value)).items():
        yield from _wrong_types(getattr(value, name), inner, f"{path}.{name.removesuffix('_val')}")


def _fits(value: Any, hint: Any, origin: Any, arguments: tuple[Any, ...]) -> bool:
    if hint is Any or hint is object:
        return True
    if origin is typing.Literal:
        return value in arguments
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return value in [member.value for member in hint]
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return origin is None and isinstance(value, hint)


def _lost(given: Any, written: Any, path: str) -> Iterator[str]:
    """Yield what the types do not write again."""
    if isinstance(given, dict) and isinstance(written, dict):
        for key, value in given.items():
            if key in written:
                yield from _lost(value, written[key], f"{path}.{key}")
            elif value is not None:
                yield f"{path}.{key} is unknown to Grafana"
    elif isinstance(given, list) and isinstance(written, list) and len(given) == len(written):
        for number, (one, other) in enumerate(zip(given, written, strict=True)):
            yield from _lost(one, other, f"{path}[{number}]")
    elif given != written:
        yield f"{path}: {given!r} becomes {written!r}"
