"""How long an idle connection to a provider may be used again."""

import pytest


@pytest.mark.parametrize(("keepalive_seconds", "connections"), [(0.0, 3), (0.000_001, 3), (600.0, 1)])
async def test_an_idle_connection_is_used_again_within_keepalive_seconds(
    make_upstream, make_gateway, keepalive_seconds, connections
):
    upstream = await make_upstream()
    gateway = await make_gateway(upstream, keepalive_seconds=keepalive_seconds)
    for _ in range(3):
        assert (await gateway.chat()).status == 200
    assert len({exchange.connection for exchange in upstream.exchanges}) == connections
    recorded = await gateway.finished()
    assert [attempt.status for attempt in recorded.attempts] == ["success"] * 3


async def test_with_0_a_provider_may_close_after_each_stream_unannounced(make_upstream, make_gateway, wire):
    served = set()

    async def closes_after_a_stream(exchange):
        if exchange.connection in served:
            exchange.close()
            return
        served.add(exchange.connection)
        await exchange.stream(wire.chunk("Hi"), wire.chunk(finish="stop"))

    upstream = await make_upstream(closes_after_a_stream)
    gateway = await make_gateway(upstream, keepalive_seconds=0.0)
    for _ in range(3):
        assert (await gateway.stream())[-1] == b"[DONE]"
    recorded = await gateway.finished()
    assert [attempt.status for attempt in recorded.attempts] == ["success"] * 3
