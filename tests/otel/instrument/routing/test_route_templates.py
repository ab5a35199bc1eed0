"""Route templates are found without being listed: what the framework would choose, for every way to nest routes."""

import pytest
from fastapi import APIRouter, FastAPI
from litestar import Controller, Litestar, Router, asgi, get, post
from litestar.params import FromPath
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Host, Mount, Route

from tests.harness.telemetered import get as request
from tests.harness.telemetered import make_telemetry, samples


async def hello(_request) -> PlainTextResponse:
    return PlainTextResponse("hello")


def starlette_app(telemetry):
    inner = Starlette(routes=[Route("/deep/{name}", hello)])
    return Starlette(
        routes=[
            Route("/", hello),
            Route("/items/new", hello),
            Route("/items/{item_id:int}", hello, methods=["GET"]),
            Route("/items/{item_id:int}", hello, methods=["PUT"]),
            Mount("/api/{tenant}", routes=[Route("/users/{user}", hello), Mount("/inner", app=inner)]),
            Mount("/raw", app=PlainTextResponse("raw")),
            Mount("/wrapped", app=inner, middleware=[Middleware(GZipMiddleware)]),
            Mount("/monitoring", app=telemetry.metrics_app()),
            Host("api.shop", app=inner),
            Route("/files/{path:path}", hello),
        ]
    )


def fastapi_app(telemetry):
    def endpoint() -> str:
        return "hello"

    leaf = APIRouter(prefix="/leaf")
    leaf.add_api_route("/{leaf_id}", endpoint, methods=["GET", "DELETE"])
    branch = APIRouter(prefix="/branch/{branch_id}")
    branch.include_router(leaf)
    branch.add_api_route("", endpoint)
    sub = FastAPI()
    sub.add_api_route("/users/{user}", endpoint)
    api = FastAPI()
    api.include_router(branch, prefix="/api")
    api.add_api_route("/items/{item_id}", endpoint)
    api.mount("/sub", sub)
    api.mount("/monitoring", telemetry.metrics_app())
    return api


def litestar_app(_telemetry):
    class Users(Controller):
        path = "/users"

        @get("/{user:str}")
        async def user(self, user: FromPath[str]) -> str:
            return user

    @get("/items/{item_id:int}")
    async def item(item_id: FromPath[int]) -> str:
        return str(item_id)

    @post("/items/{item_id:int}")
    async def change(item_id: FromPath[int]) -> str:
        return str(item_id)

    @get("/items/new")
    async def new() -> str:
        return "new"

    @get("/files/{rest:path}")
    async def files(rest: FromPath[str]) -> str:
        return rest

    @asgi("/raw", is_mount=True, copy_scope=True)
    async def raw(scope: dict, receive: object, send: object) -> None:
        await PlainTextResponse("raw")(scope, receive, send)

    return Litestar(
        [Router("/api/{tenant:str}", route_handlers=[Users]), item, change, new, files, raw],
        openapi_config=None,
        logging_config=None,
    )


CASES = [
    (starlette_app, "GET", "/", 200, "/"),
    (starlette_app, "GET", "/items/new", 200, "/items/new"),
    (starlette_app, "GET", "/items/7", 200, "/items/{item_id}"),
    (starlette_app, "PUT", "/items/7", 200, "/items/{item_id}"),
    (starlette_app, "DELETE", "/items/7", 405, "/items/{item_id}"),
    (starlette_app, "GET", "/items/x", 404, "unmatched"),
    (starlette_app, "GET", "/api/t1/users/u1", 200, "/api/{tenant}/users/{user}"),
    (starlette_app, "GET", "/api/t1/inner/deep/x", 200, "/api/{tenant}/inner/deep/{name}"),
    (starlette_app, "GET", "/api/t1/none", 404, "unmatched"),
    (starlette_app, "GET", "/raw/any/thing", 200, "/raw/{path}"),
    (starlette_app, "GET", "/wrapped/deep/x", 200, "/wrapped/deep/{name}"),
    (starlette_app, "GET", "/monitoring/none", 404, "unmatched"),
    (starlette_app, "GET", "/files/a/b/c", 200, "/files/{path}"),
    (starlette_app, "GET", "http://api.shop/deep/x", 200, "/deep/{name}"),
    (fastapi_app, "GET", "/items/7", 200, "/items/{item_id}"),
    (fastapi_app, "GET", "/api/branch/b1", 200, "/api/branch/{branch_id}"),
    (fastapi_app, "GET", "/api/branch/b1/leaf/l1", 200, "/api/branch/{branch_id}/leaf/{leaf_id}"),
    (fastapi_app, "PUT", "/api/branch/b1/leaf/l1", 405, "/api/branch/{branch_id}/leaf/{leaf_id}"),
    (fastapi_app, "GET", "/api/branch/b1/none", 404, "unmatched"),
    (fastapi_app, "GET", "/sub/users/u1", 200, "/sub/users/{user}"),
    (fastapi_app, "GET", "/sub/none", 404, "unmatched"),
    (fastapi_app, "GET", "/docs", 200, "/docs"),
    (litestar_app, "GET", "/items/7", 200, "/items/{item_id}"),
    (litestar_app, "POST", "/items/7", 201, "/items/{item_id}"),
    (litestar_app, "DELETE", "/items/7", 405, "/items/{item_id}"),
    (litestar_app, "GET", "/items/x", 404, "unmatched"),
    (litestar_app, "GET", "/items/new", 200, "/items/new"),
    (litestar_app, "GET", "/api/t1/users/u1", 200, "/api/{tenant}/users/{user}"),
    (litestar_app, "GET", "/api/t1/users", 404, "unmatched"),
    (litestar_app, "GET", "/files/a/b/c", 200, "/files/{rest}"),
    (litestar_app, "GET", "/raw/any/thing", 200, "/raw/{path}"),
    (litestar_app, "GET", "/none", 404, "unmatched"),
]


@pytest.mark.parametrize(("make", "method", "path", "status", "template"), CASES)
async def test_a_request_has_the_template_of_the_route_that_serves_it(make, method, path, status, template) -> None:
    telemetry = make_telemetry()
    app = telemetry.instrument_asgi(make(telemetry))
    response = await request(app, path, method)
    assert response.status_code == status
    counted = await samples(telemetry, "fastapi_requests_total")
    expected = (("app_name", "shop"), ("method", method), ("path", template), ("status_code", str(status)))
    assert counted == {expected: 1}
    in_progress = await samples(telemetry, "fastapi_requests_in_progress")
    assert in_progress == {(("app_name", "shop"), ("method", method), ("path", template)): 0}
    telemetry.shutdown(1)


@pytest.mark.parametrize("make", [starlette_app, fastapi_app])
async def test_mounted_monitoring_and_ignored_templates_are_no_traffic(make) -> None:
    telemetry = make_telemetry()
    app = telemetry.instrument_asgi(make(telemetry), ignored=["/items/{item_id}"])
    for path in ("/monitoring/metrics", "/monitoring/prometheus/metrics/system", "/items/7"):
        assert (await request(app, path)).status_code == 200
    assert await samples(telemetry, "fastapi_requests_total") == {}
    telemetry.shutdown(1)


async def test_routes_that_come_later_are_found() -> None:
    telemetry = make_telemetry()
    api, lite = FastAPI(), litestar_app(None)
    apps = [telemetry.instrument_asgi(api), telemetry.instrument_asgi(lite)]

    @get("/late/{number:int}")
    async def late(number: FromPath[int]) -> str:
        return str(number)

    api.add_api_route("/late/{number}", lambda number: number)
    lite.register(late)
    for app in apps:
        assert (await request(app, "/late/7")).status_code in {200, 422}
    assert {dict(labels)["path"] for labels in await samples(telemetry, "fastapi_requests_total")} == {"/late/{number}"}
    telemetry.shutdown(1)


async def test_many_raw_paths_make_one_series() -> None:
    telemetry = make_telemetry()
    app = telemetry.instrument_asgi(fastapi_app(telemetry))
    for number in range(50):
        await request(app, f"/wp-admin/{number}")
        await request(app, f"/items/{number}")
    counted = await samples(telemetry, "fastapi_requests_total")
    assert {dict(labels)["path"]: value for labels, value in counted.items()} == {
        "unmatched": 50,
        "/items/{item_id}": 50,
    }
    telemetry.shutdown(1)


async def test_an_application_of_another_kind_needs_a_function() -> None:
    telemetry = make_telemetry()
    with pytest.raises(TypeError, match="pass a FastAPI, Starlette or Litestar application, or route_of="):
        telemetry.instrument_asgi(PlainTextResponse("hello"))
    app = telemetry.instrument_asgi(PlainTextResponse("hello"), route_of=lambda scope: "/any")
    await request(app, "/x")
    ((labels, count),) = (await samples(telemetry, "fastapi_requests_total")).items()
    assert (dict(labels)["path"], count) == ("/any", 1)
    telemetry.shutdown(1)


async def test_a_finder_that_fails_costs_no_request(caplog) -> None:
    def broken(_scope):
        raise LookupError("x")

    telemetry = make_telemetry()
    app = telemetry.instrument_asgi(PlainTextResponse("hello"), route_of=broken)
    assert [(await request(app, "/x")).status_code for _ in range(3)] == [200, 200, 200]
    assert [record.name for record in caplog.records if record.name != "httpx"] == ["otel.routing"]
    ((labels, count),) = (await samples(telemetry, "fastapi_requests_total")).items()
    assert (dict(labels)["path"], count) == ("unmatched", 3)
    telemetry.shutdown(1)
