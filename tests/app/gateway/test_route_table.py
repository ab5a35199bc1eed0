"""The route table against Litestar's own routing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from litestar import Litestar, delete, get, post
from litestar.exceptions import MethodNotAllowedException, NotFoundException
from litestar.params import FromPath
from litestar.utils import normalize_path

from app.http.route_table import TRAFFIC_PATHS, RouteTable
from otel.catalogue.semconv import UNMATCHED


def build():
    @get(["/", "/v1/models", "/v1/models/all/of/them", "/metrics", "/health/live"])
    async def fixed() -> None: ...

    @post("/v1/chat/completions")
    async def chat() -> None: ...

    @get("/v1/models/{model:path}")
    async def model(model: FromPath[str]) -> None: ...

    @get("/prometheus/metrics/{category:str}")
    async def category(category: FromPath[str]) -> None: ...

    @delete("/users/{user:str}/keys/{key:str}")
    async def key(user: FromPath[str], key: FromPath[str]) -> None: ...

    @get("/users/me/keys")
    async def mine() -> None: ...

    return Litestar([fixed, chat, model, category, key, mine], openapi_config=None, logging_config=None)


APP = build()
TABLE = RouteTable(APP.routes)


def by_litestar(path, method):
    try:
        return APP.asgi_router.handle_routing(path=normalize_path(path), method=method)[4]
    except NotFoundException:
        return UNMATCHED
    except MethodNotAllowedException:
        return None


PARTS = st.sampled_from(
    [
        "v1",
        "models",
        "all",
        "of",
        "them",
        "chat",
        "completions",
        "metrics",
        "prometheus",
        "users",
        "me",
        "keys",
        "health",
        "live",
        "",
        "x",
        "acme",
        "{model}",
        "*",
        "..",
        "%2F",
        "é",
        " ",
    ]
)


@given(st.lists(PARTS, max_size=7).map(lambda parts: "/" + "/".join(parts)), st.sampled_from(["GET", "POST", "DELETE"]))
def test_it_agrees_with_litestar(path, method):
    expected = by_litestar(path, method)
    found = TABLE.route_of({"path": path})
    if expected is None:
        # The wrong method on a known path: Litestar names no template, we do.
        assert found in TABLE.templates
    else:
        assert found == expected


@pytest.mark.parametrize(
    ("path", "template"),
    [
        ("/v1/models", "/v1/models"),
        ("/v1/models/", "/v1/models"),
        ("//v1//models", "/v1/models"),
        ("/v1/models/acme/tiny", "/v1/models/{model}"),
        ("/v1/models/acme/tiny/", "/v1/models/{model}"),
        ("/v1/models/all/of/them", "/v1/models/all/of/them"),
        ("/users/u/keys/k", "/users/{user}/keys/{key}"),
        ("/", "/"),
        ("", "/"),
        ("/v1", UNMATCHED),
        ("/V1/models", UNMATCHED),
        ("/wp-login.php", UNMATCHED),
    ],
)
def test_templates(path, template):
    assert TABLE.route_of({"path": path}) == template


def test_only_the_api_and_the_unknown_are_traffic():
    ignored = {
        template
        for template in TABLE.templates
        if TABLE.is_ignored({"path": template.replace("{", "").replace("}", "")})
    }
    assert ignored == TABLE.templates - TRAFFIC_PATHS
    assert not TABLE.is_ignored({"path": "/nothing"})
