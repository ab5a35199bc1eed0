"""Which attributes of spans become columns, and which fields of a request's log line.

The first attribute of a column that a span has wins. The gateway's own come from `otel/traces/`,
the others from the semantic conventions, so that spans of other programs fill the columns too.
"""

import math
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from console.store.values import Value

Convert: TypeAlias = Callable[[Value], str | int | None]

NANO: Final = 1_000_000_000
_MAX_INTEGER: Final = 2**63 - 1
_MAX_CHARS: Final = 4_096
"""Of a column that screens list the values of; the attribute or the body has the rest."""


def text(value: Value) -> str | None:
    """Return the begin of a text, else None."""
    return value[:_MAX_CHARS] if isinstance(value, str) else None


def integer(value: Value) -> int | None:
    """Return an integer that fits into a column, else None. A text of digits counts: some programs send one."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < len(str(_MAX_INTEGER)):
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _MAX_INTEGER else None


def number(value: Value) -> float | None:
    """Return a finite number, else None. An integer of JSON may be larger than any float."""
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None


def nano(value: Value) -> int | None:
    """Return billionths of a number: seconds as nanoseconds, US dollars as nano-US-dollars."""
    found = number(value)
    if found is None or abs(found) > _MAX_INTEGER // NANO:
        return None
    return round(found * NANO)


SPAN_COLUMNS: Final[tuple[tuple[tuple[str, ...], Convert], ...]] = (
    (("gatewayz.provider", "gen_ai.provider.name", "gen_ai.system"), text),
    (("gatewayz.model", "gen_ai.request.model"), text),
    (("gen_ai.operation.name",), text),
    (("http.request.method", "http.method"), text),
    (("http.route",), text),
    (("http.response.status_code", "http.status_code"), integer),
    (("error.type",), text),
    (("gatewayz.fault",), text),
    (("gatewayz.attempt.number",), integer),
    (("gatewayz.attempt.status",), text),
    (("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens"), integer),
    (("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens"), integer),
    (("gatewayz.cost_usd",), nano),
    (("gatewayz.cost_source",), text),
    (("gen_ai.response.time_to_first_chunk",), nano),
    (("gatewayz.api_key.id",), text),
    (("gatewayz.plan",), text),
)
"""In the order of the promoted columns of `spans`."""

_ONE_KEY: Final = tuple((names[0], convert) for names, convert in SPAN_COLUMNS)
_MORE_KEYS: Final = tuple(
    (column, names[1:], convert) for column, (names, convert) in enumerate(SPAN_COLUMNS) if len(names) > 1
)


def span_columns(attributes: Mapping[str, Value]) -> list[str | int | None]:
    """Return the promoted columns of a span."""
    get = attributes.get
    found = [None if (value := get(name)) is None else convert(value) for name, convert in _ONE_KEY]
    for column, names, convert in _MORE_KEYS:
        if found[column] is None:
            found[column] = next((value for name in names if (value := convert(get(name))) is not None), None)
    return found
