"""Overrides single keys of the file by environment variables: `GATEWAYZ_SERVER__PORT` is `server.port`.

The text is taken as it is where the key is a string, else read as a TOML value (`9000`, `true`,
`["a"]`). Arrays of tables (providers, models, plans) have no variables. An empty variable is unset.
"""

import re
import tomllib
from collections.abc import Mapping
from typing import Any, Final, get_args

import msgspec

from app.config.explain import did_you_mean, known_fields
from app.config.schema import AppConfig

PREFIX: Final = "GATEWAYZ_"
_NAME: Final = re.compile(r"GATEWAYZ_([A-Za-z0-9]+(?:_[A-Za-z0-9]+)*)__(\w{1,100})", re.ASCII)


def override(raw: dict[str, Any], environ: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Put the values of variables into the decoded file; return the variable of each key that was set, and what is wrong."""
    variables: dict[str, str] = {}
    mistakes: list[str] = []
    for name in sorted(environ):
        found = _NAME.fullmatch(name)
        if found is None or not environ[name].strip():
            continue
        section, key = found[1].lower(), found[2].lower()
        mistake = _no_such_key(section, key)
        if mistake:
            mistakes.append(f"environment variable {name}: {mistake}")
            continue
        table = raw.setdefault(section, {})
        if isinstance(table, dict):
            table[key] = _value(section, key, environ[name])
            variables[f"{section}.{key}"] = name
    return variables, mistakes


def _no_such_key(section: str, key: str) -> str:
    fields = {field.name: field for field in msgspec.structs.fields(AppConfig)}
    sections = [name for name, field in fields.items() if _is_table(field.type)]
    if section in fields and section not in sections:
        return f"{section} is an array of tables, which has no variables: it belongs into the file"
    if section not in sections:
        return f"no section {section}{did_you_mean(section, sections)}; allowed: {', '.join(sections)}"
    keys = known_fields(section)
    if key not in keys:
        return f"{section} has no key {key}{did_you_mean(key, keys)}; allowed: {', '.join(keys)}"
    return ""


def _is_table(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _value(section: str, key: str, text: str) -> Any:
    table = next(field.type for field in msgspec.structs.fields(AppConfig) if field.name == section)
    kind = next(field.type for field in msgspec.structs.fields(table) if field.name == key)
    if str in (kind, *get_args(kind)):
        return text.strip()
    try:
        return tomllib.loads(f"value = {text.strip()}")["value"]
    except (tomllib.TOMLDecodeError, KeyError):
        return text.strip()
