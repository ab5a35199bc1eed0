"""What a cache gives back is served only if it is a response; what is too large for a canonical form is compared as it was written."""

import json

import pytest

from app.gateway.clock import SystemClock
from app.gateway.response_cache import MAX_CANONICAL_BYTES, MemoryResponseCache
from otel.events import CacheLookedUp

pytestmark = pytest.mark.live
CHAT = "/v1/chat/completions"


class SharedCache(MemoryResponseCache):
    """A cache that others write to."""

    is_own = False
    forged = None

    async def get(self, key):
        value = await super().get(key)
        return value if self.forged is None else self.forged


@pytest.mark.parametrize(
    "value",
    [
        b"\x00not json",
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"choices":[]}',
        b'{"error":{"message":"no"}}',
        b'{"choices":[{"message":{"content":"\xff"}}]}',
        b'{"choices":[{"message":{"content":"cut off',
        b'{"choices":[' + b"[" * 100_000,
    ],
)
async def test_a_value_of_a_shared_cache_that_is_no_response_is_a_miss(make_upstream, make_gateway, wire, value):
    cache = SharedCache(1_000_000, SystemClock())
    gateway = await make_gateway(await make_upstream(), cache_ttl_seconds=60.0, cache=cache)
    assert (await gateway.chat(temperature=0)).headers["x-gatewayz-cache"] == "miss"
    cache.forged = value
    response = await gateway.chat(temperature=0)
    assert (response.status, response.headers["x-gatewayz-cache"], response.json) == (200, "miss", wire.completion)
    cache.forged = None
    response = await gateway.chat(temperature=0)
    assert (response.headers["x-gatewayz-cache"], response.json) == ("hit", wire.completion)
    recorded = await gateway.finished()
    assert [event.hit for event in recorded.of(CacheLookedUp)] == [False, False, True]


async def test_a_large_request_is_cached_by_its_fields_as_they_were_written(make_upstream, make_gateway):
    upstream = await make_upstream()
    gateway = await make_gateway(upstream, cache_ttl_seconds=60.0)
    messages = json.dumps([{"role": "user", "content": "x" * MAX_CANONICAL_BYTES}])
    first = f'{{"model":"acme/tiny","temperature":0,"messages":{messages}}}'
    moved = f'{{ "messages" : {messages}, "temperature":0, "model":"acme/tiny" }}'
    inner = first.replace('"role": ', '"role":')
    other = first.replace("xx", "xy", 1)
    expected = [(first, "miss"), (first, "hit"), (moved, "hit"), (inner, "miss"), (other, "miss"), (other, "hit")]
    for body, cache in expected:
        assert (await gateway.post(CHAT, body.encode())).headers["x-gatewayz-cache"] == cache
    assert len(upstream.exchanges) == 3


async def test_numbers_beyond_every_decoder_are_compared_as_they_were_written(make_upstream, make_gateway, wire):
    async def script(exchange):
        await exchange.reply(wire.completion)

    gateway = await make_gateway(await make_upstream(script), cache_ttl_seconds=60.0)
    body = b'{"model":"acme/tiny","temperature":0,"messages":[{}],"x":[1e99999999999999999999,%b]}'
    for digits, cache in ((b"9" * 5_000, "miss"), (b"9" * 5_000, "hit"), (b"9" * 5_001, "miss")):
        response = await gateway.post(CHAT, body % digits)
        assert (response.status, response.headers["x-gatewayz-cache"]) == (200, cache)
