"""Comments on a stream whose provider is still silent, and what comes after them."""

import asyncio

import pytest

from app.config.schema import ServerConfig
from otel.events import ExceptionMapped

pytestmark = pytest.mark.live

COMMENT = b": keep-alive\n\n"
OFTEN = ServerConfig(keepalive_comment_seconds=0.05)


async def streaming(gateway):
    """Send a chat and return the response as soon as its head is there."""
    body = b'{"model":"acme/tiny","stream":true,"messages":[{"role":"user","content":"Say hello"}]}'
    return await gateway.session.post("/v1/chat/completions", data=body)


async def test_the_client_gets_comments_until_the_response_begins(make_upstream, make_gateway, wire):
    go_on = asyncio.Event()

    async def thinks(exchange):
        await go_on.wait()
        await wire.response(exchange)

    gateway = await make_gateway(await make_upstream(thinks), server_config=OFTEN)
    async with await streaming(gateway) as response:
        assert (response.status, response.content_type) == (200, "text/event-stream")
        assert await response.content.readexactly(3 * len(COMMENT)) == 3 * COMMENT
        go_on.set()
        rest = (await response.content.read()).replace(COMMENT, b"")
    assert rest.startswith(b"data: {")
    assert rest.endswith(b"data: [DONE]\n\n")
    assert (await gateway.finished()).calls[0].status == "success"


async def test_failover_goes_on_behind_the_head(make_upstream, make_gateway, wire):
    first, second = await make_upstream(lambda exchange: exchange.gone()), await make_upstream(name="beta")
    gateway = await make_gateway(first, second, server_config=OFTEN, first_byte_seconds=0.4)
    async with await streaming(gateway) as response:
        assert "x-gatewayz-provider" not in response.headers
        assert (await response.content.read()).endswith(b"data: [DONE]\n\n")
    recorded = await gateway.finished()
    assert [each.error_kind for each in recorded.attempts] == ["first_byte_timeout", None]
    assert recorded.calls[0].status == "success"


async def test_an_error_behind_the_head_is_an_event(make_upstream, make_gateway):
    gateway = await make_gateway(
        await make_upstream(lambda exchange: exchange.gone()), server_config=OFTEN, first_byte_seconds=0.4
    )
    async with await streaming(gateway) as response:
        last = (await response.content.read()).replace(COMMENT, b"")
    assert last.startswith(b'data: {"error":{"message":"No provider of the model responded in time')
    assert b'"code":"upstream_timeout"' in last
    recorded = await gateway.finished()
    assert (recorded.calls[0].status, recorded.calls[0].error_kind) == ("error", "first_byte_timeout")
    assert recorded.of(ExceptionMapped) == [], "no response had the status of an error"


async def test_a_client_that_leaves_between_comments_ends_the_call(make_upstream, make_gateway, wire):
    upstream = await make_upstream(lambda exchange: exchange.gone())
    gateway = await make_gateway(upstream, server_config=OFTEN)
    response = await streaming(gateway)
    await response.content.readexactly(len(COMMENT))
    response.close()
    recorded = await gateway.finished()
    assert (recorded.calls[0].status, recorded.attempts[0].status) == ("cancelled", "cancelled")
    await wire.until(lambda: upstream.open_connections == 0, "the end of the provider's work")


async def test_a_gateway_that_stops_says_so_behind_the_head(make_upstream, make_gateway):
    gateway = await make_gateway(
        await make_upstream(lambda exchange: exchange.gone()), server_config=OFTEN, grace_seconds=0.1
    )
    async with await streaming(gateway) as response:
        await response.content.readexactly(len(COMMENT))
        gateway.server.should_exit = True
        last = (await response.content.read()).replace(COMMENT, b"")
    assert b'"code":"overloaded"' in last
    assert [(each.status, each.error_kind) for each in (await gateway.finished()).calls] == [("error", "shutdown")]


async def test_none_are_sent_where_the_setting_is_zero(make_upstream, make_gateway, wire):
    async def thinks(exchange):
        await asyncio.sleep(0.3)
        await wire.response(exchange)

    gateway = await make_gateway(await make_upstream(thinks), server_config=ServerConfig(keepalive_comment_seconds=0.0))
    async with await streaming(gateway) as response:
        assert response.headers["x-gatewayz-provider"] == "alpha"
        assert COMMENT not in await response.content.read()
