"""Reads each configured provider's list of models, by the request that probes send; no provider charges for it."""

import asyncio
from collections.abc import Sequence
from http import HTTPStatus

import aiohttp
import msgspec

from app.doctor.facts import ProviderResponse
from app.doctor.settings import ProviderToQuery
from app.providers.probe_request import NO_RESPONSE, probe_session, read_list, why_no_response


async def query_providers(providers: Sequence[ProviderToQuery], timeout_seconds: float) -> tuple[ProviderResponse, ...]:
    """Query all of them at once, each within the timeout."""
    async with probe_session(timeout_seconds) as session:
        return tuple(await asyncio.gather(*(_query(session, each, timeout_seconds) for each in providers)))


async def _query(session: aiohttp.ClientSession, provider: ProviderToQuery, timeout_seconds: float) -> ProviderResponse:
    request = provider.request
    response = ProviderResponse(
        name=provider.name,
        url=request.shown_url(request.path),
        status=None,
        key_variables=provider.key_variables,
        unset_variables=provider.unset_variables,
        unset_proxy=provider.unset_proxy,
        models=provider.models,
    )
    if provider.unset_proxy is not None:
        # Another way than the gateway's would prove nothing, and could show the key to others.
        return response
    try:
        async with request.get(session, request.path) as reply:
            models = await read_list(reply) if reply.status == HTTPStatus.OK else None
    except NO_RESPONSE as error:
        return msgspec.structs.replace(response, trouble=why_no_response(error, timeout_seconds))
    if models is None:
        return msgspec.structs.replace(response, status=reply.status)
    return msgspec.structs.replace(response, status=reply.status, listed=models.ids, has_more=models.has_more)
