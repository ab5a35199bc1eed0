"""Serves `/metrics` and `/prometheus/metrics/*`; `otel/exposition/pages.py` makes the bodies.

Errors are problem+json. These routes do not count as traffic.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final, cast

from litestar import Request, Response, Router, route
from litestar.connection import ASGIConnection
from litestar.enums import HttpMethod
from litestar.exceptions import HTTPException, NotFoundException
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler
from litestar.params import FromPath
from litestar.types import Guard

from app.http.exposure import Exposure
from otel.catalogue.spec import Category
from otel.exposition import Exposition, ExpositionResponse
from otel.exposition.collect_threads import CollectThreads
from otel.exposition.pages import MonitoringPages, PageError, no_category
from otel.exposition.scrape_request import problem_json
from otel.instrument.asgi import Scope

GET_AND_HEAD: Final = (HttpMethod.GET, HttpMethod.HEAD)
_PREFIX: Final = "/prometheus/metrics"


def monitoring_router(exposition: Exposition, *, exposure: Exposure, threads: CollectThreads | None = None) -> Router:
    """Return the monitoring routes, for the clients that `exposure` allows."""
    pages = MonitoringPages(exposition, threads=threads)
    return Router(
        "/",
        route_handlers=[
            _all_families(pages),
            _one_category(pages),
            _summary(pages),
            _docs(pages),
        ],
        guards=[_guard(exposure)],
        exception_handlers={HTTPException: problem, PageError: _page_problem},
        tags=["monitoring"],
    )


def _guard(exposure: Exposure) -> Guard:
    """Return a function: Litestar copies its guards, and would copy a bound method's object, whose address is set later."""

    def guard(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
        exposure.check(cast("Scope", connection.scope))

    return guard


def problem(_: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    """Turn an HTTP error into problem+json (RFC 9457)."""
    return _problem(HTTPStatus(error.status_code), error.detail, error.headers or {})


def _page_problem(_: Request[Any, Any, Any], error: PageError) -> Response[bytes]:
    return _problem(error.status, error.detail, error.headers)


def _problem(status: HTTPStatus, detail: str, headers: Mapping[str, str]) -> Response[bytes]:
    body = problem_json(status, detail)
    return Response(body, status_code=status.value, media_type="application/problem+json", headers=dict(headers))


def _all_families(pages: MonitoringPages) -> HTTPRouteHandler:
    @route(["/metrics", f"{_PREFIX}/all"], http_method=GET_AND_HEAD, summary="Every metric")
    async def all_families(request: Request[Any, Any, Any]) -> Response[bytes]:
        return await _families(request, pages, None)

    return all_families


def _one_category(pages: MonitoringPages) -> HTTPRouteHandler:
    @route(f"{_PREFIX}/{{category:str}}", http_method=GET_AND_HEAD, summary="The metrics of one category")
    async def one_category(request: Request[Any, Any, Any], category: FromPath[str]) -> Response[bytes]:
        if category not in set(Category):
            raise NotFoundException(no_category(category))
        return await _families(request, pages, Category(category))

    return one_category


def _summary(pages: MonitoringPages) -> HTTPRouteHandler:
    @route(f"{_PREFIX}/summary", http_method=GET_AND_HEAD, summary="Numbers in JSON")
    async def summary(request: Request[Any, Any, Any]) -> Response[bytes]:
        return _response(request, await pages.summary(_query(request)))

    return summary


def _docs(pages: MonitoringPages) -> HTTPRouteHandler:
    @route(f"{_PREFIX}/docs", http_method=GET_AND_HEAD, summary="The metrics reference")
    async def docs(request: Request[Any, Any, Any]) -> Response[bytes]:
        return _response(request, pages.docs)

    return docs


async def _families(
    request: Request[Any, Any, Any], pages: MonitoringPages, category: Category | None
) -> Response[bytes]:
    return _response(request, await pages.families(request.scope["headers"], _query(request), category))


def _query(request: Request[Any, Any, Any]) -> bytes:
    """Return the query as it was sent: the framework would keep every query string that it parses."""
    return request.scope["query_string"]


def _response(request: Request[Any, Any, Any], page: ExpositionResponse) -> Response[bytes]:
    """Return a page, whose Content-Type and Content-Length a HEAD has too."""
    body = b"" if request.method == HttpMethod.HEAD else page.body
    return Response(body, status_code=page.status, headers=dict(page.headers), media_type=page.headers["Content-Type"])
