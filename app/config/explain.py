"""Turns a type error of msgspec into one line in TOML's words.

The line names the key, what was found and what is allowed. It never quotes a possible secret.
"""

import contextlib
import difflib
import re
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

import msgspec

from app.config.rules import Finding
from app.config.schema import AppConfig

_MAX_SHOWN_CHARS = 60
_STEP = re.compile(r"\.?([^.\[\]]+)|\[(\d+)\]")
_MAX_KEY_CHARS = 60
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_SECRET_KEYS = frozenset({"url", "base_url", "proxy", "headers"})
_TOML_TYPES = {int: "integer", str: "string", bool: "boolean", float: "float"}
_EXAMPLES = {
    "cors_origins": '["https://app.example.com"]',
    "headers": '{ x-title = "shop" }',
    "tag_headers": '{ team = "x-team" }',
    "headers_env": '{ x-team = "TEAM" }',
}
_ANY_KEY = "[...]"
"""How msgspec names a key of a table whose keys are free."""


def explain(message: str, raw: dict[str, Any]) -> str:
    """Turn msgspec's message, whose path starts at `$`, into a line about the file."""
    problem, _, path = message.partition(" - at `$")
    path = path.removesuffix("`").removeprefix(".")
    unknown = re.fullmatch(r"Object contains unknown field `(.*)`", problem, re.DOTALL)
    missing = re.fullmatch(r"Object missing required field `(.*)`", problem, re.DOTALL)
    if unknown:
        known = known_fields(path)
        return one_line(
            f"{join(path, unknown[1])}: unknown key{did_you_mean(unknown[1], known)}; allowed: {', '.join(known)}"
        )
    if missing:
        return one_line(f"{join(path, missing[1])}: missing; this key is required")
    if path.endswith(_ANY_KEY):
        return one_line(_explain_free_key(raw, path.removesuffix(_ANY_KEY)))
    value = _value_at(raw, path)
    kind = _type_at(path)
    allowed = f"{_in_toml(kind)}{_hint(path, kind, value)}"
    return one_line(f"{path or 'the file'}: found {_show(path, value)}; allowed: {allowed}")


def describe(finding: Finding) -> str:
    """Return a finding as one line."""
    return one_line(f"{finding.key_path}: {finding.found}; allowed: {finding.allowed}")


def known_fields(path: str) -> list[str]:
    """The keys of the table at `path`, by walking the structs."""
    return [field.name for field in msgspec.structs.fields(_type_at(path))]


def did_you_mean(name: str, known: list[str]) -> str:
    """Return a hint where a name is close to a known one."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.7)
    return f" (did you mean {close[0]}?)" if close else ""


def join(path: str, name: str) -> str:
    """Return the path of a key."""
    return f"{path}.{name}" if path else name


def one_line(text: str) -> str:
    """Return printable text without line breaks."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())


def _hint(path: str, kind: Any, value: Any) -> str:
    """Show how the value of an array or table is written."""
    key = path.rpartition(".")[2]
    if key in _EXAMPLES:
        return f", as in {_EXAMPLES[key]}"
    if get_origin(kind) is not tuple:
        return ""
    entry = get_args(kind)[0]
    if get_origin(entry) is Literal:
        return f', as in ["{get_args(entry)[0]}"]'
    header = re.sub(r"\[\d+\]", "", path)
    return f": write [[{header}]], once per entry" if isinstance(value, dict) and _in_toml(entry) == "table" else ""


def _explain_free_key(raw: dict[str, Any], path: str) -> str:
    """Explain the first value that has the wrong type, in a table whose keys are free; the value may be a secret."""
    kind = get_args(_type_at(path))[1]
    for key, value in _value_at(raw, path).items():
        with contextlib.suppress(msgspec.ValidationError):
            msgspec.convert(value, kind)
            continue
        name = key[:_MAX_KEY_CHARS] if _BARE_KEY.fullmatch(key) else f'"{key[:_MAX_KEY_CHARS]}"'
        return f'{join(path, name)}: found {_kind(value)}; allowed: {_in_toml(kind)}, as in {name} = "text"'
    return f"{path}: allowed: values of type {_in_toml(kind)}"


def _type_at(path: str) -> Any:
    """Return the type of what is at `path`, by walking the structs."""
    kind: Any = AppConfig
    for name, _ in _STEP.findall(path):
        if name:
            kind = next(field.type for field in msgspec.structs.fields(kind) if field.name == name)
        else:
            array = next(each for each in _alternatives(kind) if get_origin(each) is tuple)
            kind = get_args(array)[0]
    return kind


def _alternatives(kind: Any) -> tuple[Any, ...]:
    return get_args(kind) if isinstance(kind, UnionType) or get_origin(kind) is Union else (kind,)


def _in_toml(kind: Any) -> str:
    """Name a type in TOML's words."""
    names: list[str] = []
    for each in _alternatives(kind):
        if get_origin(each) is Literal:
            names.extend(f'"{value}"' for value in get_args(each))
        elif each is not type(None):
            names.append(_TOML_TYPES.get(each) or ("array" if get_origin(each) is tuple else "table"))
    return " or ".join(names)


def _value_at(raw: Any, path: str) -> Any:
    for name, index in _STEP.findall(path):
        raw = raw[name] if name else raw[int(index)]
    return raw


def _show(path: str, value: Any) -> str:
    """Name the type, and the value too where it cannot be a secret."""
    kind = _kind(value)
    key = path.rpartition(".")[2]
    is_url_with_user = isinstance(value, str) and "://" in value and "@" in value
    if isinstance(value, dict | list) or key in _SECRET_KEYS or key.endswith("_env") or is_url_with_user:
        return kind
    shown = str(value).lower() if isinstance(value, bool) else repr(value)
    return f"{kind}, {shown if len(shown) <= _MAX_SHOWN_CHARS else shown[:_MAX_SHOWN_CHARS] + '…'}"


def _kind(value: Any) -> str:
    return {
        dict: "a table",
        list: "an array",
        str: "a string",
        bool: "a boolean",
        int: "an integer",
        float: "a float",
    }.get(type(value), f"a {type(value).__name__}")
