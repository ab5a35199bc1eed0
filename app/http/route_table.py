"""ROUTE TABLE: names the route template of a request before the framework routes it.

Comes in: the routes of a Litestar application, later an ASGI scope. Goes out: a template or
`unmatched`. A request is counted from its entry, when Litestar has not looked at it, and those that
Litestar refuses (404, 405) never get a template from it.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from litestar.routes.base import BaseRoute

from otel.asgi import Scope
from otel.catalogue.semconv import UNMATCHED

TRAFFIC_PATHS: Final = frozenset({"/v1/chat/completions", "/v1/embeddings", "/v1/models", "/v1/models/{model}"})
"""The templates that count as traffic; all others serve monitoring."""


class _Node:
    """What may follow one path component; `template` where a route ends here, `rest` where a parameter takes all that follows."""

    __slots__ = ("children", "parameter", "rest", "template")

    def __init__(self) -> None:
        self.children: dict[str, _Node] = {}
        self.parameter: _Node | None = None
        self.rest: str | None = None
        self.template: str | None = None


class RouteTable:
    """Finds templates as Litestar's trie finds handlers: literal components before parameters, without going back."""

    def __init__(self, routes: Iterable[BaseRoute]) -> None:
        self._root = _Node()
        self._exact: dict[str, str] = {}
        self._templates: set[str] = set()
        for route in routes:
            self._add(route)

    @property
    def templates(self) -> frozenset[str]:
        """Every template of the application."""
        return frozenset(self._templates)

    def route_of(self, scope: Scope) -> str:
        """Return the template that serves the scope's path, whatever its method; `unmatched` where none does."""
        path: str = scope["path"]
        # The path of most requests is a template: one look-up.
        return self._exact.get(path) or self._walk(path)

    def is_ignored(self, scope: Scope) -> bool:
        """Whether a request is monitoring rather than traffic; what no route serves is traffic."""
        route = self.route_of(scope)
        return route not in TRAFFIC_PATHS and route != UNMATCHED

    def _add(self, route: BaseRoute) -> None:
        """Enter one route; a parameter of type `path` can only be its last component."""
        parts = [part if isinstance(part, str) else f"{{{part.name}}}" for part in route.path_components]
        template = "/" + "/".join(parts)
        self._templates.add(template)
        node = self._root
        for component in route.path_components:
            if isinstance(component, str):
                node = node.children.setdefault(component, _Node())
            elif component.type is Path:
                node.rest = template
                return
            else:
                node.parameter = node.parameter or _Node()
                node = node.parameter
        node.template = template
        if all(isinstance(component, str) for component in route.path_components):
            self._exact[template] = template

    def _walk(self, path: str) -> str:
        """Follow a path component by component."""
        node = self._root
        for component in filter(None, path.split("/")):
            found = node.children.get(component)
            if found is None and node.rest is not None:
                return node.rest
            found = found or node.parameter
            if found is None:
                return UNMATCHED
            node = found
        return node.template or UNMATCHED
