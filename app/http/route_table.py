"""Finds the route template of a request before the framework routes it.

A request is counted when it enters, before Litestar has seen it, and Litestar gives no template to a
request that it refuses (404, 405). A path that no route serves is `unmatched`.
"""

from typing import Final

from otel.catalogue.semconv import UNMATCHED
from otel.instrument.asgi import Scope
from otel.instrument.routing.litestar import RouteTable as Templates

TRAFFIC_PATHS: Final = frozenset({"/v1/chat/completions", "/v1/embeddings", "/v1/models", "/v1/models/{model}"})
"""The templates that count as traffic; all others serve monitoring."""


class RouteTable(Templates):
    """The routes of the gateway's Litestar application."""

    def route_of(self, scope: Scope) -> str:
        """Return the template that serves the scope's path, whatever its method; `unmatched` where none does."""
        return self.find(scope["path"])

    def is_ignored(self, scope: Scope) -> bool:
        """Whether a request is monitoring rather than traffic; what no route serves is traffic."""
        route = self.route_of(scope)
        return route not in TRAFFIC_PATHS and route != UNMATCHED
