"""Finds the values of a header in the scope of a request."""

from collections.abc import Mapping

from app.gateway.ports import HEADERS_KEY
from otel.instrument.asgi import Scope


def header_values(scope: Scope, name: bytes) -> list[bytes]:
    """Return each value of a header; `name` is in lower case."""
    by_name: Mapping[bytes, bytes] | None = scope.get(HEADERS_KEY)
    if by_name is not None:
        value = by_name.get(name)
        return [] if value is None else [value]
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    return [value for key, value in headers if key == name]
