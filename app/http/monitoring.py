"""MONITORING: `/metrics` and `/prometheus/metrics/*` over HTTP; the answers themselves are made in `otel/`.

Comes in: GET and HEAD requests. Goes out: expositions, the JSON summary, the reference; errors as problem+json. Collecting and
rendering take milliseconds of CPU, so every handler runs in a worker thread. These routes count as no traffic.
"""

import hmac
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import msgspec
from litestar import Request, Response, Router, route
from litestar.connection import ASGIConnection
from litestar.enums import HttpMethod
from litestar.exceptions import HTTPException, NotAuthorizedException, NotFoundException, ValidationException
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler
from litestar.params import FromPath
from litestar.types import Guard

from otel.exposition import Exposition
from otel.metric_spec import Category
from otel.reference import reference
from otel.summary import summarise

GET_AND_HEAD: Final = (HttpMethod.GET, HttpMethod.HEAD)
_CATEGORIES: Final = ", ".join(Category)
_PREFIX: Final = "/prometheus/metrics"


def monitoring_router(exposition: Exposition, *, token: str | None) -> Router:
    """Return the monitoring routes; with a `token` they ask for `Authorization: Bearer <token>`.

    Raises ValueError for an empty token: that is a secret that failed to arrive, not a wish for open endpoints.
    """
    if token is not None and not token.strip():
        raise ValueError("the monitoring token is empty")
    return Router(
        "/",
        route_handlers=[
            # One handler per path: Litestar wraps a threaded handler once more for each further path, and then never awaits it.
            _all_families(exposition, "/metrics"),
            _all_families(exposition, f"{_PREFIX}/all"),
            _one_category(exposition),
            _summary(exposition),
            _docs(exposition),
        ],
        guards=[] if token is None else [_bearer_guard(token)],
        exception_handlers={HTTPException: problem},
        tags=["monitoring"],
    )


def problem(_: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    """Turn an HTTP error into problem+json (RFC 9457)."""
    status = HTTPStatus(error.status_code)
    body = {"type": "about:blank", "title": status.phrase, "status": status.value, "detail": error.detail}
    return Response(
        msgspec.json.encode(body),
        status_code=status.value,
        media_type="application/problem+json",
        headers=error.headers or {},
    )


def _all_families(exposition: Exposition, path: str) -> HTTPRouteHandler:
    @route(path, http_method=GET_AND_HEAD, sync_to_thread=True, summary="Every metric")
    def all_families(request: Request[Any, Any, Any]) -> Response[bytes]:
        return _expose(exposition, request, None)

    return all_families


def _one_category(exposition: Exposition) -> HTTPRouteHandler:
    @route(
        f"{_PREFIX}/{{category:str}}",
        http_method=GET_AND_HEAD,
        sync_to_thread=True,
        summary="The metrics of one category",
    )
    def one_category(request: Request[Any, Any, Any], category: FromPath[str]) -> Response[bytes]:
        if category not in set(Category):
            raise NotFoundException(f"There is no category {category!r}. Categories: {_CATEGORIES}.")
        return _expose(exposition, request, Category(category))

    return one_category


def _summary(exposition: Exposition) -> HTTPRouteHandler:
    @route(f"{_PREFIX}/summary", http_method=GET_AND_HEAD, sync_to_thread=True, summary="Numbers in JSON")
    def summary(request: Request[Any, Any, Any]) -> Response[bytes]:
        wanted = request.query_params.get("category")
        if wanted is not None and wanted not in set(Category):
            raise ValidationException(f"There is no category {wanted!r}. Categories: {_CATEGORIES}.")
        numbers = summarise(exposition.reader.snapshot(), None if wanted is None else Category(wanted))
        return _whole(request, msgspec.json.encode(numbers), "application/json")

    return summary


def _docs(exposition: Exposition) -> HTTPRouteHandler:
    page = reference(exposition.specs).encode()

    @route(f"{_PREFIX}/docs", http_method=GET_AND_HEAD, sync_to_thread=False, summary="The metrics reference")
    def docs(request: Request[Any, Any, Any]) -> Response[bytes]:
        return _whole(request, page, "text/markdown; charset=utf-8")

    return docs


def _expose(exposition: Exposition, request: Request[Any, Any, Any], category: Category | None) -> Response[bytes]:
    answer = exposition.respond(
        method=request.method,
        accept=_joined(request, "accept"),
        accept_encoding=_joined(request, "accept-encoding"),
        category=category,
        names=request.query_params.getall("name[]", []),
    )
    return _response(answer.body, answer.headers, answer.status)


def _joined(request: Request[Any, Any, Any], header: str) -> str | None:
    """Return a list header; sent in several lines it means the same as in one (RFC 9110, section 5.3)."""
    return ", ".join(request.headers.getall(header, [])) or None


def _whole(request: Request[Any, Any, Any], body: bytes, content_type: str) -> Response[bytes]:
    headers = {"Content-Type": content_type, "Content-Length": str(len(body))}
    return _response(b"" if request.method == HttpMethod.HEAD else body, headers, HTTPStatus.OK)


def _response(body: bytes, headers: Mapping[str, str], status: int) -> Response[bytes]:
    """Return a response whose Content-Type and Content-Length are those given, which a HEAD needs."""
    return Response(body, status_code=status, headers=dict(headers), media_type=headers["Content-Type"])


def _bearer_guard(token: str) -> Guard:
    """Return a guard that compares in constant time."""
    expected = f"Bearer {token}".encode()

    def guard(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
        scheme, _space, credentials = connection.headers.get("authorization", "").partition(" ")
        presented = f"{scheme.title()} {credentials.strip()}".encode()  # the scheme's case does not matter
        if not hmac.compare_digest(presented, expected):
            raise NotAuthorizedException(
                "The monitoring endpoints ask for a bearer token.",
                headers={"WWW-Authenticate": 'Bearer realm="monitoring"'},
            )

    return guard
