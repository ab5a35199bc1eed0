"""Serves the routes of calls without the framework, which would cost each of them a twentieth of the gateway's time.

Every other request, and every other spelling of these paths, is the framework's; what it does for an
exception is done here too.
"""

from collections.abc import Awaitable, Mapping
from typing import Final, cast

from litestar import Litestar

from app.http.exception_handlers import send_failure
from otel.instrument.asgi import STARTED_KEY, AsgiApp, Receive, Scope, Send

METHOD: Final = "POST"


class DirectRoutes:
    """Wraps an application; `endpoints` are applications by path."""

    def __init__(self, app: AsgiApp, endpoints: Mapping[str, AsgiApp]) -> None:
        self._app = app
        self._endpoints = endpoints

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; raises what the application raises after the beginning of its response."""
        if scope["type"] != "http" or scope["method"] != METHOD or scope.get("root_path"):
            await self._app(scope, receive, send)
            return
        endpoint = self._endpoints.get(scope["path"], self._app)
        if endpoint is self._app:
            await self._app(scope, receive, send)
            return
        try:
            await endpoint(scope, receive, send)
        except Exception as error:
            if scope.get(STARTED_KEY):
                raise
            await send_failure(scope, send, error)


def framework_of(app: Litestar) -> AsgiApp:
    """Return what serves a request with the framework, so that one which is served without it does not pass through `app`."""
    handler = cast("AsgiApp", app.asgi_handler)

    def serve(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        # As `Litestar.__call__` does.
        scope["app"] = scope["litestar_app"] = app
        scope.setdefault("state", {})
        return handler(scope, receive, send)

    return serve
