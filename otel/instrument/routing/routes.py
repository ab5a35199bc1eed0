"""Finds the kind of an application's router, and the template of each request."""

import logging
from collections.abc import Callable
from typing import Any, Final

from otel.catalogue.semconv import UNMATCHED
from otel.instrument.asgi import Scope
from otel.instrument.metrics_app import MetricsApp
from otel.instrument.routing.litestar import LitestarRoutes, is_litestar
from otel.instrument.routing.starlette import StarletteRoutes

MONITORING: Final = "monitoring"
"""What a finder returns in place of a template for a request that the application's `MetricsApp` serves."""

_FOUND_KEY: Final = "otel.route"
_MAX_WRAPPERS: Final = 32

_logger: Final = logging.getLogger("otel.routing")
Finder = Callable[[Scope], str]


class BoundedNames:
    """Names that come from code, not from clients: the first `limit` are known, later ones are not."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._names: set[str] = set()

    def __contains__(self, name: object) -> bool:
        if name in self._names:
            return True
        if isinstance(name, str) and len(self._names) < self._limit:
            self._names.add(name)
            return True
        return False


class Routes:
    """The routes of one application. Each request is matched once; its scope carries the result."""

    def __init__(self, find: Finder, ignored: frozenset[str]) -> None:
        self._find = find
        self._ignored = ignored
        self._has_failed = False

    def template(self, scope: Scope) -> str:
        """Return the template that serves the scope's path, whatever its method; `unmatched` where none does."""
        found: str | None = scope.get(_FOUND_KEY)
        if found is None:
            found = scope[_FOUND_KEY] = self._found(scope)
        return found

    def is_ignored(self, scope: Scope) -> bool:
        """Whether the request is no traffic: monitoring, or a template that the application excludes."""
        template = self.template(scope)
        return template == MONITORING or template in self._ignored

    def _found(self, scope: Scope) -> str:
        try:
            return self._find(scope)
        except Exception:
            if not self._has_failed:
                self._has_failed = True
                _logger.exception("the route of a request cannot be found; it counts as %s", UNMATCHED)
            return UNMATCHED


def find_routes(app: Any, ignored: frozenset[str] = frozenset()) -> Routes:
    """Return the routes of a FastAPI, Starlette or Litestar application, also behind middleware.

    Raises TypeError for any other application.
    """
    finder = _finder(app)
    if finder is None:
        raise TypeError(
            f"the routes of {type(app).__name__} cannot be found: pass a FastAPI, Starlette or Litestar application, "
            "or route_of=, which returns the route template of a scope"
        )
    return Routes(finder, ignored)


def _finder(app: Any) -> Finder | None:
    """Return what finds the templates of an application; None where it has no routes that are understood."""
    for _ in range(_MAX_WRAPPERS):
        if isinstance(app, MetricsApp):
            return _monitoring(app)
        if is_litestar(app):
            return LitestarRoutes(app, _finder).template
        if isinstance(getattr(app, "routes", None), list):
            return StarletteRoutes(app, _finder).template
        inner = getattr(app, "app", None)
        if inner is None:
            return None
        app = inner
    return None


def _monitoring(app: MetricsApp) -> Finder:
    return lambda scope: MONITORING if app.serves(scope) else UNMATCHED
