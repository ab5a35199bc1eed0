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

from app.config.explain import did_you_mean, one_line
from app.config.schema import AppConfig

PREFIX: Final = "GATEWAYZ_"
_NAME: Final = re.compile(r"GATEWAYZ((?:__?[A-Za-z0-9]+)+)")
_MAX_NAME_CHARS: Final = 200


class _VariableError(Exception):
    """A variable that names no key; `str()` is the reason."""


def override(raw: dict[str, Any], environ: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Put the values of variables into the decoded file; return the variable of each key that was set, and the mistakes."""
    variables: dict[str, str] = {}
    mistakes: list[str] = []
    for name in sorted(environ, key=_by_index):
        text = environ[name].strip()
        if "__" not in name or not name.upper().startswith(PREFIX) or not text:
            continue
        try:
            text.encode()
            key_path = _set(raw, _parts(name), text)
        except UnicodeEncodeError:
            mistakes.append(one_line(f"environment variable {name[:_MAX_NAME_CHARS]}: the value is not UTF-8 text"))
        except _VariableError as error:
            mistakes.append(one_line(f"environment variable {name[:_MAX_NAME_CHARS]}: {error}"))
        else:
            variables[key_path] = name
    return variables, mistakes


def _parts(name: str) -> list[str]:
    """Return the section and the keys that a variable names; raises `_VariableError` for a name of any other form."""
    found = _NAME.fullmatch(name[:_MAX_NAME_CHARS])
    if found is not None and found[1][1] != "_":
        return found[1][1:].lower().split("__")
    parts = [part.strip("_") for part in re.split("__+", name.upper().removeprefix(PREFIX)) if part.strip("_")]
    meant = PREFIX + "__".join(parts)
    is_close = len(parts) > 1 and len(meant) <= _MAX_NAME_CHARS and _NAME.fullmatch(meant)
    raise _VariableError(f"write {meant if is_close else f'{PREFIX}SECTION__KEY, as in {PREFIX}SERVER__PORT'}")


def meant_by(name: str) -> str | None:
    """Return the variable of the key that a name with single underscores could mean, None where there is none."""
    if not name.startswith(PREFIX) or "__" in name:
        return None
    rest = name.removeprefix(PREFIX).lower()
    for section in msgspec.structs.fields(AppConfig):
        head, key = f"{section.name}_", rest.removeprefix(f"{section.name}_")
        table, number = section.type, ""
        if (entry := _entry_type(section.type)) is not None:
            table = entry
            number, _, key = key.partition("_")
        known = {field.name for field in msgspec.structs.fields(table)}
        if rest.startswith(head) and key in known and number.isdecimal() == (entry is not None):
            return PREFIX + "__".join(part for part in (section.name, number, key) if part).upper()
    return None


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
            entry = _entry_of(kind, path, part)
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


def _entry_of(kind: Any, path: str, part: str) -> Any:
    """Return the table that the array at a path holds; raises `_VariableError` for anything but an array of tables."""
    if get_origin(kind) is dict:
        whole = path.replace("[", "__").replace("].", "__").upper()
        raise _VariableError(f"{path} is set as a whole, as in {PREFIX}{whole}='{{ x-title = \"shop\" }}'")
    entry = _entry_type(kind)
    if entry is None:
        raise _VariableError(f"{path} is not a table, so it has no key {part}")
    return entry


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
