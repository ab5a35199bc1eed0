"""Adds the headers of every response of the API: `x-request-id`, and the CORS headers where they are configured.

It wraps the framework and is wrapped by the telemetry, so that errors, streams and unknown paths
have the headers too. Monitoring and health pass through unchanged. A preflight gets its response
here: a browser sends it without a key.
"""

import re
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from typing import Final

from app.http.header_values import header_values
from otel.instrument.asgi import ADDED_HEADERS_KEY, SCOPE_KEY, AsgiApp, Receive, Scope, Send, request_scope

REQUEST_ID_HEADER: Final = b"x-request-id"
ANY_ORIGIN: Final = "*"

_EXPOSED: Final = ", ".join(
    (
        "x-request-id",
        "x-trace-id",
        "retry-after",
        "x-gatewayz-provider",
        "x-gatewayz-cache",
        *(f"x-ratelimit-{kind}-{what}" for kind in ("limit", "remaining", "reset") for what in ("requests", "tokens")),
    )
).encode()
_METHODS: Final = b"GET, HEAD, POST"
_PREFLIGHT_SECONDS: Final = 3_600
_FIELD_NAMES: Final = re.compile(rb"[A-Za-z0-9!#$%&'*+.^_`|~, -]{1,4096}")
_USUAL_FIELD_NAMES: Final = b"authorization, content-type"


class CrossOrigin:
    """Which pages may read responses. The key is a header that a page sets itself, so no credentials of the browser are allowed."""

    def __init__(self, origins: Sequence[str]) -> None:
        self._is_any = ANY_ORIGIN in origins
        self._origins = frozenset(origin.lower().encode() for origin in origins)

    def headers(self, scope: Scope) -> list[tuple[bytes, bytes]]:
        """Return the headers of a response to this request."""
        origin = self._allowed(scope)
        headers = [] if self._is_any else [(b"vary", b"Origin")]
        if origin is not None:
            headers += [(b"access-control-allow-origin", origin), (b"access-control-expose-headers", _EXPOSED)]
        return headers

    def preflight(self, scope: Scope) -> list[tuple[bytes, bytes]] | None:
        """Return the headers of the response to a preflight of an allowed origin; None for any other request."""
        if scope["method"] != "OPTIONS" or not header_values(scope, b"access-control-request-method"):
            return None
        origin = self._allowed(scope)
        if origin is None:
            return None
        requested = b", ".join(header_values(scope, b"access-control-request-headers"))
        return [
            (b"vary", b"Origin, Access-Control-Request-Method, Access-Control-Request-Headers"),
            (b"access-control-allow-origin", origin),
            (b"access-control-allow-methods", _METHODS),
            # Clients send many fields of their own (x-stainless-*), and none of them grants access.
            (b"access-control-allow-headers", requested if _FIELD_NAMES.fullmatch(requested) else _USUAL_FIELD_NAMES),
            (b"access-control-max-age", b"%d" % _PREFLIGHT_SECONDS),
        ]

    def _allowed(self, scope: Scope) -> bytes | None:
        origins = header_values(scope, b"origin")
        if len(origins) != 1:
            return None
        if self._is_any:
            return ANY_ORIGIN.encode()
        return origins[0] if origins[0].lower() in self._origins else None


class ApiHeaders:
    """Wraps an application. `new_request_id` names a request that has no trace, because telemetry is off."""

    def __init__(
        self, app: AsgiApp, cross_origin: CrossOrigin | None, new_request_id: Callable[[], str] | None
    ) -> None:
        self._app = app
        self._cross_origin = cross_origin
        self._new_request_id = new_request_id

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Serve one request. It is no coroutine itself: each layer of them costs something in each step of a stream."""
        if SCOPE_KEY not in scope:
            return self._app(scope, receive, send)
        request_id = request_scope(scope).trace_id
        if not request_id and self._new_request_id is not None:
            request_id = self._new_request_id()
        added = [(REQUEST_ID_HEADER, request_id.encode())] if request_id else []
        if self._cross_origin is not None:
            preflight = self._cross_origin.preflight(scope)
            if preflight is not None:
                return _send_no_content(send, [*added, *preflight])
            added += self._cross_origin.headers(scope)
        scope[ADDED_HEADERS_KEY] = added
        return self._app(scope, receive, send)


async def _send_no_content(send: Send, headers: list[tuple[bytes, bytes]]) -> None:
    await send({"type": "http.response.start", "status": HTTPStatus.NO_CONTENT, "headers": headers})
    await send({"type": "http.response.body", "body": b"", "more_body": False})
