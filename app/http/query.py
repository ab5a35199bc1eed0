"""Reads the query string of the monitoring routes.

The framework keeps every query string that it has parsed, so that it would keep what any client
makes up; this keeps nothing, and bounds what it parses.
"""

from typing import Final
from urllib.parse import parse_qsl

from litestar.exceptions import ValidationException

from otel.asgi import Scope

MAX_QUERY_BYTES: Final = 8 * 1024
"""Room for every family's name in one query."""

MAX_FIELDS: Final = 512


def query_values(scope: Scope, name: str) -> list[str]:
    """Return the values of a repeatable query parameter; raises `ValidationException` (400) for a query beyond the bounds."""
    query: bytes = scope["query_string"]
    if len(query) > MAX_QUERY_BYTES:
        raise ValidationException(f"The query string is longer than {MAX_QUERY_BYTES} bytes.")
    try:
        fields = parse_qsl(query.decode("latin-1"), keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError:
        raise ValidationException(f"The query string has more than {MAX_FIELDS} parameters.") from None
    return [value for key, value in fields if key == name]
