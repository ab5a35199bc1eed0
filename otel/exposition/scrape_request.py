"""What the monitoring endpoints read of a request, in bounded time and without keeping it, and the body of their errors.

Headers are those of an ASGI scope: pairs of lower-case names and values.
"""

import hmac
from collections.abc import Iterable
from http import HTTPStatus
from typing import Final, TypeAlias
from urllib.parse import parse_qsl

import msgspec

Headers: TypeAlias = Iterable[tuple[bytes, bytes]]

MAX_QUERY_BYTES: Final = 8 * 1024
"""Room for every family's name in one query."""

MAX_QUERY_FIELDS: Final = 512


class QueryTooLongError(ValueError):
    """The query string is longer than any scraper's."""


def query_fields(query: bytes) -> list[tuple[str, str]]:
    """Return the query's fields; raises `QueryTooLongError`, and ValueError for too many fields."""
    if len(query) > MAX_QUERY_BYTES:
        raise QueryTooLongError(f"The query string is longer than {MAX_QUERY_BYTES} bytes.")
    return parse_qsl(query.decode("latin-1"), keep_blank_values=True, max_num_fields=MAX_QUERY_FIELDS)


def list_header(headers: Headers, name: bytes) -> str | None:
    """Return a list header; sent in several lines it means the same as in one (RFC 9110, section 5.3)."""
    return b", ".join([value for key, value in headers if key == name]).decode("latin-1") or None


def presents_token(headers: Headers, token: bytes) -> bool:
    """Whether exactly one Authorization header presents the bearer token; compares in constant time."""
    values = [value for name, value in headers if name == b"authorization"]
    scheme, _, credentials = (values[0] if values else b"").partition(b" ")
    is_same = hmac.compare_digest(credentials.strip(), token)
    return is_same and scheme.lower() == b"bearer" and len(values) == 1


def problem_json(status: HTTPStatus, detail: str) -> bytes:
    """Return the body of an error as problem+json (RFC 9457)."""
    return msgspec.json.encode(
        {"type": "about:blank", "title": status.phrase, "status": status.value, "detail": detail}
    )
