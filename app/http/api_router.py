"""The routes under `/v1`; each delegates to a plain ASGI application that serves the request.

Handlers take no arguments, so that Litestar parses nothing on this path.
"""

from typing import cast

from litestar import Router, get, post
from litestar.types import ASGIApp

from app.config.schema import ServerConfig
from app.gateway.gateway import Gateway
from app.http.completions import CompletionEndpoint
from app.http.models import ModelsEndpoint


def api_router(gateway: Gateway, server: ServerConfig) -> Router:
    """Return the routes of the OpenAI-compatible API; `server` bounds the bodies."""
    # Litestar types the messages of ASGI one by one, `otel.instrument.asgi` as mappings; at run time they are the same dictionaries.
    chat_endpoint = cast("ASGIApp", CompletionEndpoint(gateway, "chat", server))
    embeddings_endpoint = cast("ASGIApp", CompletionEndpoint(gateway, "embeddings", server))
    models_endpoint = cast("ASGIApp", ModelsEndpoint(gateway))

    @post("/chat/completions", status_code=200)
    async def chat_completions() -> ASGIApp:
        """Serve a chat, whole or as an event stream."""
        return chat_endpoint

    @post("/embeddings", status_code=200)
    async def embeddings() -> ASGIApp:
        """Embed texts."""
        return embeddings_endpoint

    @get("/models")
    async def list_models() -> ASGIApp:
        """List the models."""
        return models_endpoint

    @get("/models/{model:path}")
    async def show_model() -> ASGIApp:
        """Show one model."""
        return models_endpoint

    return Router("/v1", route_handlers=[chat_completions, embeddings, list_models, show_model])
