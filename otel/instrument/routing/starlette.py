"""Route templates of Starlette and FastAPI applications, matched by their own routes."""

from collections.abc import Callable, Iterable
from typing import Any, Final

from otel.catalogue.semconv import UNMATCHED
from otel.instrument.asgi import Scope

_FULL: Final = "FULL"
_NONE: Final = "NONE"
_REST: Final = "/{path}"
"""What a mount's template ends with."""


class StarletteRoutes:
    """The routes of one router, read at each request: an application may add some at any time.

    `finder_of` returns the finder of an application that is mounted here, None where its routes cannot be found.
    """

    def __init__(self, app: Any, finder_of: Callable[[Any], Callable[[Scope], str] | None]) -> None:
        self._app = app
        self._finder_of = finder_of

    def template(self, scope: Scope) -> str:
        """Return the template of the route that would be chosen: the first that matches, else one with other methods."""
        partial: tuple[Any, Scope] | None = None
        for route in _flat(self._app.routes):
            match, child_scope = route.matches(scope)
            if match.name == _FULL:
                return self._template_of(route, {**scope, **child_scope})
            if match.name != _NONE and partial is None:
                partial = route, {**scope, **child_scope}
        return UNMATCHED if partial is None else self._template_of(*partial)

    def _template_of(self, route: Any, scope: Scope) -> str:
        route = getattr(route, "starlette_route", None) or route
        is_host = hasattr(route, "host_format")
        if not is_host and not hasattr(route, "routes"):
            return str(route.path_format)
        prefix = "" if is_host else str(route.path_format).removesuffix(_REST)
        # `app` is behind the middleware of the mount itself, `_base_app` is not.
        find = self._finder_of(getattr(route, "_base_app", route.app))
        if find is None:
            return f"{prefix}{_REST}"
        inner = find(scope)
        return f"{prefix}{inner}" if inner.startswith("/") else inner


def _flat(routes: Iterable[Any]) -> Iterable[Any]:
    """Return the routes with those of FastAPI's included routers in place, in the order in which they are tried."""
    for route in routes:
        contexts = getattr(route, "effective_route_contexts", None)
        if contexts is None:
            yield route
        else:
            yield from contexts()
