"""Serves `/metrics` and `/prometheus/metrics/*`; `otel/` makes the bodies.

Errors are problem+json. Collecting and rendering take milliseconds of CPU, so they run in threads
(`otel/exposition/collect_threads.py`). These routes do not count as traffic.
"""

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Final, TypeAlias, TypeVar, cast

import msgspec
from litestar import Request, Response, Router, route
from litestar.connection import ASGIConnection
from litestar.enums import HttpMethod
from litestar.exceptions import HTTPException, NotFoundException, ServiceUnavailableException, ValidationException
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler
from litestar.params import FromPath
from litestar.types import Guard

from app.http.exposure import Exposure
from app.http.query import query_values
from otel.catalogue.spec import Category
from otel.exposition import Exposition
from otel.exposition.collect_threads import CollectThreads, TooManyCollectionsError
from otel.exposition.reference import reference
from otel.exposition.scrape_request import list_header, problem_json
from otel.exposition.summary import summarise
from otel.instrument.asgi import Scope

GET_AND_HEAD: Final = (HttpMethod.GET, HttpMethod.HEAD)
_CATEGORIES: Final = ", ".join(Category)
_PREFIX: Final = "/prometheus/metrics"
_MAX_SHOWN: Final = 40

Result = TypeVar("Result")
_Work: TypeAlias = Callable[[], Result]


def monitoring_router(exposition: Exposition, *, exposure: Exposure, threads: CollectThreads | None = None) -> Router:
    """Return the monitoring routes, for the clients that `exposure` allows."""
    pages = _Pages(exposition, threads or CollectThreads())
    return Router(
        "/",
        route_handlers=[
            _all_families(pages),
            _one_category(pages),
            _summary(pages),
            _docs(reference(exposition.specs).encode()),
        ],
        guards=[_guard(exposure)],
        exception_handlers={HTTPException: problem},
        tags=["monitoring"],
    )


def _guard(exposure: Exposure) -> Guard:
    """Return a function: Litestar copies its guards, and would copy a bound method's object, whose address is set later."""

    def guard(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
        exposure.check(cast("Scope", connection.scope))

    return guard


def problem(_: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    """Turn an HTTP error into problem+json (RFC 9457)."""
    status = HTTPStatus(error.status_code)
    return Response(
        problem_json(status, error.detail),
        status_code=status.value,
        media_type="application/problem+json",
        headers=error.headers or {},
    )


class _Pages:
    """Makes the responses, each in a thread."""

    def __init__(self, exposition: Exposition, threads: CollectThreads) -> None:
        self._exposition = exposition
        self._threads = threads

    async def expose(self, request: Request[Any, Any, Any], category: Category | None) -> Response[bytes]:
        """Return an exposition; the parts of the request that matter are read here, in bounded time."""
        scope = cast("Scope", request.scope)
        headers = scope["headers"]
        accept, accept_encoding = list_header(headers, b"accept"), list_header(headers, b"accept-encoding")
        names = query_values(scope, "name[]")
        response = await self._in_thread(
            lambda: self._exposition.respond(
                method=request.method, accept=accept, accept_encoding=accept_encoding, category=category, names=names
            )
        )
        return _response(response.body, response.headers, response.status)

    async def summarise(self, request: Request[Any, Any, Any]) -> Response[bytes]:
        """Return the summary of all categories or of one."""
        wanted = next(iter(query_values(cast("Scope", request.scope), "category")), None)
        if wanted is not None and wanted not in set(Category):
            raise ValidationException(f"There is no category {_shown(wanted)}. Categories: {_CATEGORIES}.")
        category = None if wanted is None else Category(wanted)
        body = await self._in_thread(
            lambda: msgspec.json.encode(summarise(self._exposition.reader.snapshot(), category))
        )
        return _whole(request, body, "application/json")

    async def _in_thread(self, work: _Work[Result]) -> Result:
        try:
            return await self._threads.run(work)
        except TooManyCollectionsError:
            raise ServiceUnavailableException("Too many scrapes wait already.", headers={"Retry-After": "1"}) from None


def _all_families(pages: _Pages) -> HTTPRouteHandler:
    @route(["/metrics", f"{_PREFIX}/all"], http_method=GET_AND_HEAD, summary="Every metric")
    async def all_families(request: Request[Any, Any, Any]) -> Response[bytes]:
        return await pages.expose(request, None)

    return all_families


def _one_category(pages: _Pages) -> HTTPRouteHandler:
    @route(f"{_PREFIX}/{{category:str}}", http_method=GET_AND_HEAD, summary="The metrics of one category")
    async def one_category(request: Request[Any, Any, Any], category: FromPath[str]) -> Response[bytes]:
        if category not in set(Category):
            raise NotFoundException(f"There is no category {_shown(category)}. Categories: {_CATEGORIES}.")
        return await pages.expose(request, Category(category))

    return one_category


def _summary(pages: _Pages) -> HTTPRouteHandler:
    @route(f"{_PREFIX}/summary", http_method=GET_AND_HEAD, summary="Numbers in JSON")
    async def summary(request: Request[Any, Any, Any]) -> Response[bytes]:
        return await pages.summarise(request)

    return summary


def _docs(page: bytes) -> HTTPRouteHandler:
    @route(f"{_PREFIX}/docs", http_method=GET_AND_HEAD, summary="The metrics reference")
    async def docs(request: Request[Any, Any, Any]) -> Response[bytes]:
        return _whole(request, page, "text/markdown; charset=utf-8")

    return docs


def _shown(text: str) -> str:
    """Quote the beginning of what a client sent."""
    return repr(text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}...")


def _whole(request: Request[Any, Any, Any], body: bytes, content_type: str) -> Response[bytes]:
    headers = {"Content-Type": content_type, "Content-Length": str(len(body))}
    return _response(b"" if request.method == HttpMethod.HEAD else body, headers, HTTPStatus.OK)


def _response(body: bytes, headers: Mapping[str, str], status: int) -> Response[bytes]:
    """Return a response whose Content-Type and Content-Length are those given, which a HEAD needs."""
    return Response(body, status_code=status, headers=dict(headers), media_type=headers["Content-Type"])
