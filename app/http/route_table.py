"""ROUTE TABLE: names the route template of a request before the framework routes it.

Comes in: the routes of a Litestar application, later an ASGI scope. Goes out: a template or `unmatched`. A request is counted from its
entry, when Litestar has not looked at it, and those that Litestar refuses (404, 405) never get a template from it.
"""

from collections.abc import Iterable
from typing import Final

from litestar.routes.base import BaseRoute

from otel.asgi import Scope
from otel.semconv import UNMATCHED

TRAFFIC_PATHS: Final = frozenset({"/v1/chat/completions", "/v1/embeddings", "/v1/models", "/v1/models/{model}"})
"""The templates that count as traffic; all others serve monitoring."""

_PARAMETER: Final = ""
_REST: Final = "*"


class _Node:
    """One path component's children; `template` where a route ends here."""

    __slots__ = ("children", "template")

    def __init__(self) -> None:
        self.children: dict[str, _Node] = {}
        self.template: str | None = None


class RouteTable:
    """Finds templates as Litestar's trie finds handlers: literal components before parameters, without going back."""

    def __init__(self, routes: Iterable[BaseRoute]) -> None:
        self._root = _Node()
        self._exact: dict[str, str] = {}
        for route in routes:
            self._add(route)

    @property
    def templates(self) -> frozenset[str]:
        """Every template of the application."""
        found: set[str] = set()
        nodes = [self._root]
        while nodes:
            node = nodes.pop()
            nodes += node.children.values()
            if node.template is not None:
                found.add(node.template)
        return frozenset(found)

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
        node = self._root
        components: list[str] = []
        for component in route.path_components:
            if isinstance(component, str):
                key = component
                components.append(component)
            else:
                key = _REST if component.type.__name__ == "Path" else _PARAMETER
                components.append(f"{{{component.name}}}")
            node = node.children.setdefault(key, _Node())
        node.template = "/" + "/".join(components)
        if all(isinstance(component, str) for component in route.path_components):
            self._exact[node.template] = node.template

    def _walk(self, path: str) -> str:
        node = self._root
        for component in path.split("/"):
            if not component:
                continue
            if _REST in node.children and component not in node.children:
                return node.children[_REST].template or UNMATCHED
            found = node.children.get(component) or node.children.get(_PARAMETER)
            if found is None:
                return UNMATCHED
            node = found
        return node.template or UNMATCHED
