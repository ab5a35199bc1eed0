"""Finds the values of a header in the scope of a request."""

from otel.instrument.asgi import Scope


def header_values(scope: Scope, name: bytes) -> list[bytes]:
    """Return each value of a header; `name` is in lower case."""
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    by_name = dict(headers)
    if len(by_name) == len(headers):
        # Nearly always no name is there twice, and a search of the whole list takes longer than the dictionary.
        value = by_name.get(name)
        return [] if value is None else [value]
    return [value for key, value in headers if key == name]
