"""Bounds the paths that the framework routes: it caches the last 1,024, each with its parameters.

No route, with the longest name of a model, comes near the bound; a longer path is routed as one
that does not exist.
"""

from typing import Final

from otel.instrument.asgi import AsgiApp, Receive, Scope, Send

MAX_PATH_CHARACTERS: Final = 512
_API: Final = "/v1/"
_UNKNOWN: Final = "unknown"


class PathBound:
    """Wraps an application."""

    def __init__(self, app: AsgiApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if len(scope.get("path", "")) > MAX_PATH_CHARACTERS:
            # The prefix decides about the shape of the error.
            scope["path"] = f"{_API if scope['path'].startswith(_API) else '/'}{_UNKNOWN}"
        await self._app(scope, receive, send)
