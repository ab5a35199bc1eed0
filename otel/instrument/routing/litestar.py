"""Route templates of Litestar applications, found as its trie finds handlers."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from otel.catalogue.semconv import UNMATCHED
from otel.instrument.asgi import Scope

_REST: Final = "/{path}"


class _Node:
    """What may follow one path component.

    `template` where a route ends here, `rest` where a parameter takes all that follows, `mounted` where an application does.
    """

    __slots__ = ("children", "mounted", "parameter", "parsers", "rest", "template")

    def __init__(self) -> None:
        self.children: dict[str, _Node] = {}
        self.parameter: _Node | None = None
        self.parsers: tuple[Callable[[str], Any] | None, ...] = ()
        self.rest: str | None = None
        self.template: str | None = None
        self.mounted: tuple[str, Any] | None = None


class RouteTable:
    """Finds templates as Litestar does: literal components before parameters, without going back."""

    def __init__(self, routes: Iterable[Any]) -> None:
        self._root = _Node()
        self._exact: dict[str, str] = {}
        self._templates: set[str] = set()
        for route in routes:
            self._add(route)

    @property
    def templates(self) -> frozenset[str]:
        """Every template of the application."""
        return frozenset(self._templates)

    def find(self, path: str) -> str:
        """Return the template that serves a path, whatever the method; `unmatched` where none does."""
        # The path of most requests is a template: one lookup.
        return self._exact.get(path) or self.find_or_mount(path)[0]

    def find_or_mount(self, path: str) -> tuple[str, Any, str]:
        """Return the template; or the prefix, the application that is mounted there, and the rest of the path."""
        exact = self._exact.get(path)
        return (exact, None, "") if exact is not None else self._walk([part for part in path.split("/") if part])

    def _add(self, route: Any) -> None:
        """Enter one route; a parameter of type `path` can only be its last component."""
        components: Sequence[Any] = route.path_components
        parts = [part if isinstance(part, str) else f"{{{part.name}}}" for part in components]
        template = "/" + "/".join(parts)
        self._templates.add(template)
        node = self._root
        for component in components:
            if isinstance(component, str):
                node = node.children.setdefault(component, _Node())
            elif component.type is Path:
                node.rest = template
                return
            else:
                node.parameter = node.parameter or _Node()
                node = node.parameter
        handler = getattr(route, "route_handler", None)
        if getattr(handler, "is_mount", False):
            node.mounted = (template.rstrip("/"), getattr(handler, "fn", None))
            return
        node.template = template
        node.parsers = tuple(part.parser for part in components if not isinstance(part, str))
        if all(isinstance(component, str) for component in components):
            self._exact[template] = template

    def _walk(self, components: list[str]) -> tuple[str, Any, str]:
        """Follow a path component by component; a mount takes what no route below it does."""
        node, values = self._root, []
        mount: tuple[str, Any, str] | None = None
        for position, component in enumerate(components):
            if node.mounted is not None:
                mount = (*node.mounted, "/" + "/".join(components[position:]))
            found = node.children.get(component)
            if found is None and node.rest is not None:
                return node.rest, None, ""
            if found is None and node.parameter is not None:
                found = node.parameter
                values.append(component)
            if found is None:
                return mount or (UNMATCHED, None, "")
            node = found
        if node.template is not None and _can_parse(node.parsers, values):
            return node.template, None, ""
        if node.mounted is not None:
            return (*node.mounted, "/")
        return mount or (UNMATCHED, None, "")


class LitestarRoutes:
    """The routes of one application, read again when their number changes.

    `finder_of` returns the finder of an application that is mounted here, None where its routes cannot be found.
    """

    def __init__(self, app: Any, finder_of: Callable[[Any], Callable[[Scope], str] | None]) -> None:
        self._app = app
        self._finder_of = finder_of
        self._table = RouteTable(app.routes)
        self._size = len(app.routes)

    def template(self, scope: Scope) -> str:
        """Return the template that serves the scope's path; `unmatched` where none does."""
        if len(self._app.routes) != self._size:
            self._size = len(self._app.routes)
            self._table = RouteTable(self._app.routes)
        found, mounted, rest = self._table.find_or_mount(_route_path(scope))
        if mounted is None:
            return found
        find = self._finder_of(mounted)
        if find is None:
            return f"{found}{_REST}"
        inner = find({**scope, "path": rest, "root_path": ""})
        return f"{found}{inner}" if inner.startswith("/") else inner


def is_litestar(app: Any) -> bool:
    """Whether an application's routes are Litestar's."""
    routes = getattr(app, "routes", None)
    return isinstance(routes, list) and bool(routes) and hasattr(routes[0], "path_components")


def _can_parse(parsers: Sequence[Callable[[str], Any] | None], values: Sequence[str]) -> bool:
    """Whether the values have the types of the parameters; Litestar responds with 404 where they have not."""
    try:
        for parse, value in zip(parsers, values, strict=False):
            if parse is not None:
                parse(value)
    except ValueError:
        return False
    return True


def _route_path(scope: Scope) -> str:
    path, root_path = str(scope["path"]), str(scope.get("root_path", ""))
    is_below = root_path and (path == root_path or path.startswith(root_path.rstrip("/") + "/"))
    return path[len(root_path.rstrip("/")) :] or "/" if is_below else path
