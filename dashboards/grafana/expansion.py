"""What Grafana makes of `$name` and `${name:format}` in queries and URLs before it sends them.

Formats are ignored: the values here are single ones, which every format but those of URLs leaves as
they are.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

_REFERENCE: Final = re.compile(r"\$(?:\{(?P<braced>[\w.]+)(?::\w+)?\}|(?P<bare>\w+))")


def expand(text: str, values: Mapping[str, str]) -> str:
    """Return the text with the values of its variables; a name without a value stays as it is."""
    return _REFERENCE.sub(lambda found: values.get(found["braced"] or found["bare"], found[0]), text)


def expand_all(value: Any, values: Mapping[str, str]) -> Any:
    """Expand every text in decoded JSON."""
    if isinstance(value, dict):
        return {key: expand_all(each, values) for key, each in value.items()}
    if isinstance(value, list):
        return [expand_all(each, values) for each in value]
    return expand(value, values) if isinstance(value, str) else value


def default_values(document: Mapping[str, Any]) -> dict[str, str]:
    """Return the values of a board's variables when it is opened: All, the first choice, the provisioned data sources."""
    return {variable["name"]: _default(variable) for variable in document["templating"]["list"]}


def time_values(from_ms: int, to_ms: int) -> dict[str, str]:
    """Return what a time range in milliseconds since the epoch stands for in queries and URLs."""
    seconds = max(1, (to_ms - from_ms) // 1000)
    return {
        "__from": str(from_ms),
        "__to": str(to_ms),
        "__url_time_range": f"from={from_ms}&to={to_ms}",
        "__range": f"{seconds}s",
    }


def _default(variable: Mapping[str, Any]) -> str:
    match variable["type"]:
        case "query":
            return str(variable["allValue"])
        case "datasource":
            # The uid of the provisioned data source is its type's name.
            return str(variable["query"])
        case _:
            return str(variable["current"]["value"])
