"""The console's page and API as one ASGI application: access first, then the route."""

import asyncio
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Final

import msgspec

from console.http.access import Access
from console.http.csv_export import cost_lines, first_bytes, request_lines, send_lines
from console.http.json_routes import Context, cost_window, route_of
from console.http.parameters import Parameters
from console.http.query_threads import QueryThreads
from console.http.responses import (
    NOT_STORED,
    Message,
    ProblemError,
    Receive,
    Response,
    Scope,
    Send,
    empty,
    json_response,
    send_response,
)
from console.http.session import Sessions, closing_cookie
from console.http.static_files import StaticFiles
from console.http.tail import Tails
from console.query.cost import read_cost
from console.query.shapes.meta import Session

_API: Final = "/api/"
_SESSION: Final = "/api/session"
_TAIL: Final = "/api/tail"
_REQUESTS_CSV: Final = "/api/requests.csv"
_COST_CSV: Final = "/api/cost.csv"
_READ: Final = ("GET", "HEAD")
_MAX_BODY: Final = 4_096
_BODY_SECONDS: Final = 10.0
_CSV: Final = "text/csv; charset=utf-8"


class _Token(msgspec.Struct):
    token: str


class ConsoleApp:
    """The application; `report` takes one line about a request that failed unexpectedly."""

    def __init__(
        self,
        *,
        queries: QueryThreads,
        context: Context,
        access: Access,
        sessions: Sessions | None,
        files: StaticFiles,
        tails: Tails,
        report: Callable[[str], None],
    ) -> None:
        self._queries = queries
        self._context = context
        self._access = access
        self._sessions = sessions
        self._files = files
        self._tails = tails
        self._report = report

    def close(self) -> None:
        """End the live tails and start no further query."""
        self._tails.close()
        self._queries.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        headers: dict[bytes, bytes] = dict(scope["headers"])
        sender = _Sender(send)
        try:
            self._access.check_origin(scope["method"], headers)
            response = await self._respond(scope, headers, receive, sender)
        except ProblemError as error:
            response = error.response
        except Exception as error:  # noqa: BLE001  a defect of one route must not leave its client without a response
            self._report(f"failed on {scope['path'][:100]!r}, please report it: {type(error).__name__}: {error}")
            response = ProblemError(HTTPStatus.INTERNAL_SERVER_ERROR, "The console failed on this request.").response
        if response is not None and not sender.has_begun:
            await send_response(send, response, is_head=scope["method"] == "HEAD")

    async def _respond(
        self, scope: Scope, headers: Mapping[bytes, bytes], receive: Receive, send: Send
    ) -> Response | None:
        """Return the response; None where it was sent as a stream."""
        path, method = scope["path"], scope["method"]
        if path == _SESSION:
            return await self._session(scope, headers, receive)
        if method not in _READ:
            raise ProblemError(HTTPStatus.METHOD_NOT_ALLOWED, "Use GET.", {"Allow": "GET, HEAD"})
        if not path.startswith(_API):
            found = self._files.response(path, headers)
            if found is None:
                raise ProblemError(HTTPStatus.NOT_FOUND, f"There is no {path[:200]!r}.")
            return found
        self._access.check(headers)
        parameters = Parameters(scope["query_string"])
        if path == _TAIL:
            await self._tails.serve(parameters, headers.get(b"last-event-id", b""), receive, send)
            return None
        if path == _REQUESTS_CSV:
            await send_lines(request_lines(parameters, self._queries), "requests.csv", receive, send)
            return None
        if path == _COST_CSV:
            return await self._cost_csv(parameters)
        return await self._json(path, parameters)

    async def _json(self, path: str, parameters: Parameters) -> Response:
        prepare = route_of(path)
        if prepare is None:
            raise ProblemError(HTTPStatus.NOT_FOUND, f"There is no {path[:200]!r}.")
        query = prepare(parameters, self._context, self._queries.unix_ns())
        parameters.finish()
        # Encoding is part of the query: a large response must not stop the event loop either.
        return await self._queries.run(lambda view: json_response(query(view)))

    async def _cost_csv(self, parameters: Parameters) -> Response:
        period, begin_ns, end_ns = cost_window(parameters, self._queries.unix_ns())
        begin = first_bytes(parameters)
        parameters.finish()
        lines = begin + await self._queries.run(
            lambda view: cost_lines(read_cost(view, period, begin_ns=begin_ns, end_ns=end_ns))
        )
        disposition = (b"content-disposition", b'attachment; filename="cost.csv"')
        return Response(HTTPStatus.OK, lines, _CSV, (NOT_STORED, disposition))

    async def _session(self, scope: Scope, headers: Mapping[bytes, bytes], receive: Receive) -> Response:
        method = scope["method"]
        is_secure = scope["scheme"] == "https" or headers.get(b"origin", b"").startswith(b"https:")
        if method in _READ:
            authenticated = self._access.is_authenticated(headers)
            return json_response(Session(required=self._access.is_token_required, authenticated=authenticated))
        if method == "DELETE":
            return empty(closing_cookie(is_secure=is_secure))
        if method != "POST":
            raise ProblemError(
                HTTPStatus.METHOD_NOT_ALLOWED, "Use GET, POST or DELETE.", {"Allow": "GET, POST, DELETE"}
            )
        try:
            async with asyncio.timeout(_BODY_SECONDS):
                token = await _read_token(headers, receive)
        except TimeoutError:
            raise ProblemError(HTTPStatus.REQUEST_TIMEOUT, "The body did not arrive in time.") from None
        return empty(() if self._sessions is None else self._sessions.open(token, is_secure=is_secure))


class _Sender:
    """Sends messages, and knows whether a response has begun."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.has_begun = False

    async def __call__(self, message: Message) -> None:
        self.has_begun = True
        await self._send(message)


async def _read_token(headers: Mapping[bytes, bytes], receive: Receive) -> str:
    """Return the token of a small JSON body; raises 415, 413 or 400."""
    media_type = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    if media_type != b"application/json":
        raise ProblemError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Send application/json.")
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > _MAX_BODY:
            raise ProblemError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The body is larger than 4 KiB.")
        if not message.get("more_body", False):
            break
    try:
        return msgspec.json.decode(body, type=_Token).token
    except msgspec.DecodeError:
        raise ProblemError(HTTPStatus.BAD_REQUEST, 'Send {"token": "..."}.') from None
