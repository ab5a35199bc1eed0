"""The routes under `/v1`; each delegates to a plain ASGI application that serves the request.

Handlers take no arguments, so that Litestar parses nothing on this path. Calls do not even get here:
`direct_routes.py` serves them, except for an unusual spelling of the path.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, cast

from litestar import HttpMethod, Router, post, route
from litestar.types import ASGIApp

from app.config.schema import ServerConfig
from app.gateway.gateway import Gateway
from app.http.completions import CompletionEndpoint
from app.http.models import ModelsEndpoint
from otel.instrument.asgi import AsgiApp

PREFIX: Final = "/v1"
CHAT: Final = "/chat/completions"
EMBEDDINGS: Final = "/embeddings"
_GET_AND_HEAD: Final = (HttpMethod.GET, HttpMethod.HEAD)


class ApiRouter(Router):
    """The routes; `calls` returns the applications that serve `POST`, by path."""

    def __init__(self, calls: Mapping[str, AsgiApp], handlers: Sequence[Any]) -> None:
        super().__init__(PREFIX, route_handlers=handlers)
        # Litestar copies a router with all that it holds; a function stays the same.
        self.calls: Callable[[], Mapping[str, AsgiApp]] = lambda: calls


def api_router(gateway: Gateway, server: ServerConfig) -> ApiRouter:
    """Return the routes of the OpenAI-compatible API; `server` bounds the bodies."""
    chat, embed = CompletionEndpoint(gateway, "chat", server), CompletionEndpoint(gateway, "embeddings", server)
    # Litestar types the messages of ASGI one by one, `otel.instrument.asgi` as mappings; at run time they are the same dictionaries.
    chat_endpoint, embeddings_endpoint = cast("ASGIApp", chat), cast("ASGIApp", embed)
    models_endpoint = cast("ASGIApp", ModelsEndpoint(gateway))

    @post(CHAT, status_code=200)
    async def chat_completions() -> ASGIApp:
        """Serve a chat, whole or as an event stream."""
        return chat_endpoint

    @post(EMBEDDINGS, status_code=200)
    async def embeddings() -> ASGIApp:
        """Embed texts."""
        return embeddings_endpoint

    @route("/models", http_method=_GET_AND_HEAD, status_code=200)
    async def list_models() -> ASGIApp:
        """List the models."""
        return models_endpoint

    @route("/models/{model:path}", http_method=_GET_AND_HEAD, status_code=200)
    async def show_model() -> ASGIApp:
        """Show one model."""
        return models_endpoint

    handlers = [chat_completions, embeddings, list_models, show_model]
    return ApiRouter({PREFIX + CHAT: chat, PREFIX + EMBEDDINGS: embed}, handlers)


def calls_of(routers: Sequence[Router]) -> dict[str, AsgiApp]:
    """Return the applications that serve calls, by path."""
    return {path: call for router in routers if isinstance(router, ApiRouter) for path, call in router.calls().items()}
