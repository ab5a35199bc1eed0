"""Responses of the page and the API, with the headers that every one of them has."""

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from http import HTTPStatus
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec

from console.query.shapes.base import Problem, Shape

Message: TypeAlias = MutableMapping[str, Any]
Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Headers: TypeAlias = tuple[tuple[bytes, bytes], ...]

_POLICY: Final = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; font-src 'self';"
    b" base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
SECURITY: Final[Headers] = (
    (b"content-security-policy", _POLICY),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
)
NOT_STORED: Final = (b"cache-control", b"no-store")
JSON: Final = "application/json"
_encode: Final = msgspec.json.encode


class Response(NamedTuple):
    """An HTTP response with a whole body."""

    status: int
    body: bytes
    media_type: str | None
    headers: Headers = (NOT_STORED,)


class ProblemError(Exception):
    """A request cannot be served; its response is `application/problem+json` (RFC 9457)."""

    def __init__(self, status: HTTPStatus, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers or {}

    @property
    def response(self) -> Response:
        """The response."""
        problem = Problem(type="about:blank", title=self.status.phrase, status=int(self.status), detail=self.detail)
        more = tuple((name.lower().encode(), value.encode("latin-1")) for name, value in self.headers.items())
        return Response(self.status, _encode(problem), "application/problem+json", (NOT_STORED, *more))


def json_response(content: Shape) -> Response:
    """Return a struct as JSON."""
    return Response(HTTPStatus.OK, _encode(content), JSON)


def empty(headers: Headers = ()) -> Response:
    """Return a response without a body."""
    return Response(HTTPStatus.NO_CONTENT, b"", None, (NOT_STORED, *headers))


async def send_response(send: Send, response: Response, *, is_head: bool = False) -> None:
    """Send a response; one to a HEAD has the headers of the GET and no body."""
    headers = [*SECURITY, *response.headers]
    if response.media_type is not None:
        headers.append((b"content-type", response.media_type.encode()))
    if response.status != HTTPStatus.NO_CONTENT:
        headers.append((b"content-length", b"%d" % len(response.body)))
    await send({"type": "http.response.start", "status": int(response.status), "headers": headers})
    await send({"type": "http.response.body", "body": b"" if is_head else response.body})


async def wait_until_left(receive: Receive) -> None:
    """Return when the client has closed its connection."""
    while (await receive())["type"] != "http.disconnect":
        pass
