"""Overrides keys of the file by environment variables: `GATEWAYZ_SERVER__PORT` is `server.port`.

Entries of arrays of tables are counted from 0: `GATEWAYZ_PROVIDERS__0__BASE_URL`. The text is taken
as it is where the key is a string, else read as a TOML value (`9000`, `true`, `["a"]`,
`{ x-title = "a" }`). An empty variable is unset.
"""

import re
import tomllib
from collections.abc import Mapping
from types import UnionType
from typing import Any, Final, get_args, get_origin

import msgspec

from app.config.explain import did_you_mean
from app.config.schema import AppConfig

PREFIX: Final = "GATEWAYZ_"
_NAME: Final = re.compile(r"GATEWAYZ_([A-Za-z0-9]+(?:_[A-Za-z0-9]+)*__\w{1,200})", re.ASCII)


class _VariableError(Exception):
    """A variable that names no key; `str()` is the reason."""


def override(raw: dict[str, Any], environ: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Put the values of variables into the decoded file; return the variable of each key that was set, and the mistakes."""
    variables: dict[str, str] = {}
    mistakes: list[str] = []
    for name in sorted(environ, key=_by_index):
        found = _NAME.fullmatch(name)
        if found is None or not environ[name].strip():
            continue
        try:
            key_path = _set(raw, found[1].lower().split("__"), environ[name].strip())
        except _VariableError as error:
            mistakes.append(f"environment variable {name}: {error}")
        else:
            variables[key_path] = name
    return variables, mistakes


def _by_index(name: str) -> list[tuple[int, str]]:
    """Sort entries of arrays by their number: 2 before 10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in name.split("__")]


def _set(raw: dict[str, Any], parts: list[str], text: str) -> str:
    """Set one key and return its path; a part that has the wrong type in the file is left for the schema to report."""
    kind: Any = AppConfig
    table: Any = raw
    path = ""
    for index, part in enumerate(parts):
        is_last = index == len(parts) - 1
        if _is_table(kind):
            kind = _field_type(kind, path, part)
            key: str | int = part
            path = f"{path}.{part}" if path else part
            empty: Any = [] if _entry_type(kind) else {}
        else:
            entry = _entry_type(kind)
            if entry is None:
                raise _VariableError(f"{path} is not a table, so it has no key {part}")
            key, kind, empty = _index(path, part, table), entry, {}
            path = f"{path}[{part}]"
        if is_last and (_is_table(kind) or _entry_type(kind)):
            raise _VariableError(f"{path} is a table or an array of tables; name one of its keys")
        if isinstance(key, int):
            if not isinstance(table, list):
                return path
            if key == len(table):
                table.append(empty)
        elif not isinstance(table, dict):
            return path
        else:
            table.setdefault(key, empty)
        if is_last:
            table[key] = _value(kind, text)
        table = table[key]
    return path


def _field_type(table: type[msgspec.Struct], path: str, key: str) -> Any:
    """Return the type of a key; raises `_VariableError` where the table has no such key."""
    fields = {field.name: field.type for field in msgspec.structs.fields(table)}
    if key not in fields:
        where = f"{path} has no key" if path else "no section"
        raise _VariableError(f"{where} {key}{did_you_mean(key, list(fields))}; allowed: {', '.join(fields)}")
    return fields[key]


def _index(path: str, part: str, entries: Any) -> int:
    """Return the number of an entry that exists or is the next one; raises `_VariableError` for any other."""
    count = len(entries) if isinstance(entries, list) else 0
    if not part.isdecimal():
        raise _VariableError(f"{path} is an array: count its entries from 0, as in {path.upper()}__0__NAME")
    if int(part) > count:
        raise _VariableError(f"{path} has {count} entries: the next one is {count}, not {int(part)}")
    return int(part)


def _is_table(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _entry_type(kind: Any) -> Any:
    """Return the table that an array holds, None for anything else."""
    arguments = get_args(kind)
    return arguments[0] if get_origin(kind) is tuple and _is_table(arguments[0]) else None


def _value(kind: Any, text: str) -> Any:
    if kind is str or (isinstance(kind, UnionType) and str in get_args(kind)):
        return text
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, KeyError):  # not TOML, or a number with too many digits
        return text
