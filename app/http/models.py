"""Serves `GET /v1/models` and `GET /v1/models/{model}` in OpenAI's shape.

Names of models may contain slashes.
"""

from http import HTTPStatus
from typing import Final

import msgspec

from app.errors import GatewayError, UnknownModelError
from app.gateway.gateway import Gateway
from app.http.completions import refuse
from app.http.request_input import bearer_secret
from app.http.responses import send_json
from otel.instrument.asgi import Receive, Scope, Send, request_scope

OWNER: Final = "gatewayz"
PREFIX: Final = "/v1/models/"


class ModelObject(msgspec.Struct, frozen=True, kw_only=True):
    """One model. `created` (seconds since the epoch) is when this gateway started; `operation` is not in OpenAI's own format."""

    id: str
    object: str = "model"
    created: int
    owned_by: str = OWNER
    operation: str


class ModelList(msgspec.Struct, frozen=True):
    """All models."""

    data: tuple[ModelObject, ...]
    object: str = "list"


class ModelsEndpoint:
    """An ASGI application for both routes: the path decides whether one model is meant."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        created = gateway.started_unix_ms // 1_000
        objects = [
            ModelObject(id=name, created=created, operation=operation)
            for name, operation in gateway.models.operations.items()
        ]
        self._list = msgspec.json.encode(ModelList(tuple(objects)))
        self._by_name = {each.id: msgspec.json.encode(each) for each in objects}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002  the ASGI signature
        """Serve one request."""
        try:
            await self._gateway.identify(request_scope(scope), bearer_secret(scope))
            body = self._list
            # The server has decoded %2F already, so an encoded slash and a plain one name the same model.
            if scope["path"].startswith(PREFIX):
                body = self._one(scope["path"][len(PREFIX) :])
        except GatewayError as error:
            await refuse(scope, send, error, [])
        else:
            await send_json(send, HTTPStatus.OK, body, [])

    def _one(self, name: str) -> bytes:
        """Return one model; raises `UnknownModelError`."""
        if name not in self._by_name:
            raise UnknownModelError("The model does not exist; GET /v1/models lists those that do.", param="model")
        return self._by_name[name]
