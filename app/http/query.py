"""Reads the query string of the monitoring routes.

The framework keeps every query string that it has parsed, also those that a client invents; this
module keeps nothing, and bounds what it parses.
"""

from litestar.exceptions import ValidationException

from otel.exposition.scrape_request import MAX_QUERY_FIELDS, QueryTooLongError, query_fields
from otel.instrument.asgi import Scope


def query_values(scope: Scope, name: str) -> list[str]:
    """Return the values of a repeatable query parameter; raises `ValidationException` (400) for a query beyond the bounds."""
    try:
        fields = query_fields(scope.get("query_string", b""))
    except QueryTooLongError as error:
        raise ValidationException(str(error)) from None
    except ValueError:
        raise ValidationException(f"The query string has more than {MAX_QUERY_FIELDS} parameters.") from None
    return [value for key, value in fields if key == name]
