"""Write `gatewayz.schema.json` and `docs/configuration.md` from the schema; `--check` only compares.

Descriptions are the docstrings of the schema's keys.
"""

import ast
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

import msgspec

from app.config import pricing_schema, routing_schema, schema

ROOT = Path(__file__).parents[2]
UNITS = {"seconds": "s", "bytes": "bytes", "minutes": "min", "days": "days", "rows": "rows"}
INTRODUCTION = """# Configuration

Generated from `app/config/schema.py`, `routing_schema.py` and `pricing_schema.py` by
`python -m tests.checks.configuration`.

The gateway reads one TOML file: `--config FILE`, or the variable `GATEWAYZ_CONFIG`. Without a file
the defaults apply. Every key has an environment variable, which wins over the file: the text as it
is for a string, else a TOML value (`9000`, `true`, `["a"]`, `{ x-title = "a" }`). Entries of arrays
are counted from 0: `GATEWAYZ_PROVIDERS__0__NAME` is the name of the first provider, and the next
number adds an entry. An empty variable is unset. `gatewayz check-config` prints every mistake.

Editors that read JSON schemas (`gatewayz.schema.json`) complete and check the file where its first
line is `#:schema ./gatewayz.schema.json`. [gatewayz.example.toml](../gatewayz.example.toml) shows
every key with its default. OpenTelemetry's own settings are the standard `OTEL_*` variables
([gateway.md](gateway.md)).
"""


def descriptions() -> dict[tuple[str, str], str]:
    """Return the docstring of each key, by class and key."""
    found = {}
    for module in (schema, routing_schema, pricing_schema):
        for table in ast.parse(inspect.getsource(module)).body:
            if not isinstance(table, ast.ClassDef):
                continue
            for field, text in zip(table.body, table.body[1:], strict=False):
                if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                    match text:
                        case ast.Expr(value=ast.Constant(value=str(line))):
                            found[table.name, field.target.id] = line
    return found


def described(table: type) -> dict[str, str]:
    """Return the docstring of each key of a table, those of its bases included."""
    texts = descriptions()
    return {
        key: text for base in reversed(table.__mro__) for (name, key), text in texts.items() if name == base.__name__
    }


def tables(table: Any = schema.AppConfig, path: str = "") -> Iterator[tuple[str, Any]]:
    """Return each table of the file with its path; arrays of tables end in `[]`."""
    for field in msgspec.structs.fields(table):
        here = f"{path}.{field.name}" if path else field.name
        entry = (get_args(field.type) or (field.type,))[0]
        if isinstance(entry, type) and issubclass(entry, msgspec.Struct):
            here += "[]" if get_origin(field.type) is tuple else ""
            yield here, entry
            yield from tables(entry, here)


def json_schema() -> str:
    """Return the JSON schema of the file."""
    document = msgspec.json.schema(schema.AppConfig)
    kinds = {table.__name__: described(table) for table in (schema.AppConfig, *dict(tables()).values())}
    for name, definition in document["$defs"].items():
        for key, value in definition.get("properties", {}).items():
            if key in kinds.get(name, {}):
                value["description"] = kinds[name][key]
    document = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Configuration of the gateway",
        **document,
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"


def page() -> str:
    """Return the reference page."""
    parts = [INTRODUCTION]
    for path, table in tables():
        texts = described(table)
        heading = f"[[{path.removesuffix('[]').replace('[]', '')}]]" if path.endswith("[]") else f"[{path}]"
        lines = [f"## `{heading}`", "", inspect.getdoc(table) or "", ""]
        lines += ["| key | type | default | unit | environment variable | meaning |", "|---|---|---|---|---|---|"]
        for field in msgspec.structs.fields(table):
            if f"{path}.{field.name}[]" in dict(tables()):
                continue
            name = f"{path}.{field.name}".replace("[]", "__0").replace(".", "__").upper()
            text = texts[field.name].replace("|", "\\|")
            cells = (
                f"`{field.name}`",
                _type(field.type),
                _default(field),
                _unit(field.name),
                f"`GATEWAYZ_{name}`",
                text,
            )
            lines.append(f"| {' | '.join(cells)} |")
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def _type(kind: Any) -> str:
    names = {str: "string", int: "integer", float: "float", bool: "boolean", type(None): ""}
    if kind in names:
        return names[kind]
    if get_origin(kind) is dict:
        return "table of strings"
    if get_origin(kind) is tuple:
        return f"array of {_type(get_args(kind)[0])}s"
    if str(get_origin(kind)).endswith("Literal"):
        return " or ".join(f"`{msgspec.json.encode(each).decode()}`" for each in get_args(kind))
    return " or ".join(filter(None, map(_type, get_args(kind))))


def _default(field: msgspec.structs.FieldInfo) -> str:
    if field.required:
        return "required"
    value = field.default if field.default is not msgspec.NODEFAULT else field.default_factory()  # type: ignore[operator]
    return "none" if value is None else f"`{msgspec.json.encode(value).decode()}`"


def _unit(key: str) -> str:
    if key.endswith("usd_per_million"):
        return "USD per million tokens"
    if key == "usd_per_request":
        return "USD"
    if key.endswith("per_minute"):
        return "per minute"
    return next((unit for word, unit in UNITS.items() if word in key.split("_")), "")


def main() -> int:
    """Write or compare both files; return the exit code."""
    stale = []
    for name, text in (("gatewayz.schema.json", json_schema()), ("docs/configuration.md", page())):
        path = ROOT / name
        if "--check" not in sys.argv:
            path.write_text(text, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(name)
    if stale:
        sys.stderr.write(f"{', '.join(stale)}: not what the schema says; run python -m tests.checks.configuration\n")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
