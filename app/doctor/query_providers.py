"""Reads each configured provider's list of models, with its key; no provider charges for it."""

import asyncio
from collections.abc import Sequence
from http import HTTPStatus

import msgspec

from app.doctor.facts import ProviderResponse
from app.doctor.settings import ProviderToQuery
from app.doctor.web import NoResponse, Web


class _Entry(msgspec.Struct):
    id: str


class _Models(msgspec.Struct):
    """What is read of a list of models."""

    data: list[_Entry]


async def query_providers(web: Web, providers: Sequence[ProviderToQuery]) -> tuple[ProviderResponse, ...]:
    """Query all of them at once."""
    return tuple(await asyncio.gather(*(_query(web, provider) for provider in providers)))


async def _query(web: Web, provider: ProviderToQuery) -> ProviderResponse:
    headers = {"authorization": f"Bearer {provider.key}"} if provider.key else {}
    reply = await web.get(provider.url, headers=headers)
    response = ProviderResponse(
        name=provider.name,
        url=provider.url,
        status=None,
        key_variable=provider.key_variable,
        key_is_set=provider.key is not None,
        models=provider.models,
    )
    if isinstance(reply, NoResponse):
        return msgspec.structs.replace(response, trouble=reply.reason)
    models = reply.read(_Models) if reply.status == HTTPStatus.OK else None
    listed = None if models is None else frozenset(entry.id for entry in models.data)
    return msgspec.structs.replace(response, status=reply.status, listed=listed)
