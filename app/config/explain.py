"""Turns a type error of msgspec into one line in TOML's words.

The line names the key, what was found and what is allowed. It never quotes a possible secret.
"""

import difflib
import re
from typing import Any, get_args

import msgspec

from app.config.rules import Finding
from app.config.schema import AppConfig

_MAX_SHOWN_CHARS = 60
_STEP = re.compile(r"\.?([^.\[\]]+)|\[(\d+)\]")
_SECRET_KEYS = frozenset({"url", "base_url"})
_TOML_TYPES = {"int": "integer", "str": "string", "bool": "boolean", "object": "table", "float": "float"}


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
    value = _value_at(raw, path)
    expected = re.match(r"Expected `(.*?)`", problem)
    allowed = _in_toml(expected[1]) if expected else problem
    hint = f": write [[{path}]], once per entry" if isinstance(value, dict) and allowed == "array" else ""
    return one_line(f"{path or 'the file'}: found {_show(path, value)}; allowed: {allowed}{hint}")


def describe(finding: Finding) -> str:
    """Return a finding as one line."""
    return one_line(f"{finding.key_path}: {finding.found}; allowed: {finding.allowed}")


def known_fields(path: str) -> list[str]:
    """The keys of the table at `path`, by walking the structs."""
    struct: Any = AppConfig
    for name, _ in _STEP.findall(path):
        if name:
            field = next(field for field in msgspec.structs.fields(struct) if field.name == name)
            struct = (get_args(field.type) or (field.type,))[0]
    return [field.name for field in msgspec.structs.fields(struct)]


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


def _in_toml(types: str) -> str:
    names = [_TOML_TYPES.get(each.strip(), each.strip()) for each in types.split("|")]
    return " or ".join(name for name in names if name != "null")


def _value_at(raw: Any, path: str) -> Any:
    for name, index in _STEP.findall(path):
        raw = raw[name] if name else raw[int(index)]
    return raw


def _show(path: str, value: Any) -> str:
    """Name the type, and the value too where it cannot be a secret."""
    kind = {
        dict: "a table",
        list: "an array",
        str: "a string",
        bool: "a boolean",
        int: "an integer",
        float: "a float",
    }.get(type(value), f"a {type(value).__name__}")
    key = path.rpartition(".")[2]
    if isinstance(value, dict | list) or key in _SECRET_KEYS or key.endswith("_env"):
        return kind
    shown = str(value).lower() if isinstance(value, bool) else repr(value)
    return f"{kind}, {shown if len(shown) <= _MAX_SHOWN_CHARS else shown[:_MAX_SHOWN_CHARS] + '…'}"
