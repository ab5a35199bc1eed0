"""Embeddings, end to end over sockets."""

import json

import pytest

pytestmark = pytest.mark.live


async def test_embeddings_are_served_and_accounted_for(make_upstream, make_gateway):
    upstream = await make_upstream()
    gateway = await make_gateway(upstream)
    body = b'{"input": ["a", "b"], "model": "acme/embed", "dimensions": 2, "encoding_format": "float"}'
    response = await gateway.post("/v1/embeddings", body)
    assert (response.status, response.json["data"][0]["embedding"]) == (200, [0.5, -0.25])
    assert upstream.exchanges[0].path == "/v1/embeddings"
    sent = upstream.exchanges[0].body
    assert sent == b'{"input":["a", "b"],"model":"alpha-tiny","dimensions":2,"encoding_format":"float"}'
    recorded = await gateway.finished()
    (call,) = recorded.calls
    assert (call.operation, call.stream, call.status) == ("embeddings", False, "success")
    assert (call.usage.input_tokens, call.usage.output_tokens, call.usage.estimated) == (6, 0, False)
    assert recorded.started[0].operation == "embeddings"
    assert recorded.attempts[0].response_model == "embed-2026"


@pytest.mark.parametrize(
    ("value", "tokens"),
    [
        ("12345678", 2),
        (["1234", "12345"], 3),
        ([1, 2, 3], 3),
        ([[1, 2], [3]], 3),
        ("\u00e9\u00e9", 2),
        ("\u4e2d" * 1_000, 1_000),
    ],
)
async def test_usage_is_estimated_where_none_is_reported(make_upstream, make_gateway, value, tokens):
    upstream = await make_upstream(lambda exchange: exchange.reply({"object": "list", "data": [{"embedding": [1]}]}))
    gateway = await make_gateway(upstream)
    body = json.dumps({"model": "acme/embed", "input": value}).encode()
    assert (await gateway.post("/v1/embeddings", body)).status == 200
    usage = (await gateway.finished()).calls[0].usage
    assert (usage.input_tokens, usage.output_tokens, usage.estimated) == (tokens, 0, True)


@pytest.mark.parametrize("response", [{"data": []}, {"data": "x"}, {"choices": [{}]}, [], {"error": {"code": 500}}])
async def test_what_is_no_embedding_fails_over(make_upstream, make_gateway, response):
    liar = await make_upstream(lambda exchange: exchange.reply(response))
    gateway = await make_gateway(liar, await make_upstream(name="beta"))
    body = json.dumps({"model": "acme/embed", "input": "x"}).encode()
    found = await gateway.post("/v1/embeddings", body)
    assert (found.status, found.headers["x-gatewayz-provider"]) == (200, "beta")


def large(*, is_length_known):
    body = json.dumps({"object": "list", "data": [{"embedding": [0.5] * 3_000}]}).encode()

    async def script(exchange):
        if is_length_known:
            await exchange.reply(body)
        else:
            await exchange.raw(
                b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
            )

    return script


@pytest.mark.parametrize("is_length_known", [True, False])
async def test_nobody_opens_a_breaker_by_how_much_they_ask_for(make_upstream, make_gateway, *, is_length_known):
    gateway = await make_gateway(await make_upstream(large(is_length_known=is_length_known)), max_response_bytes=10_000)
    body = json.dumps({"model": "acme/embed", "input": ["x"] * 100}).encode()
    for _ in range(20):
        response = await gateway.post("/v1/embeddings", body)
        assert response.status == 413
        assert response.json["error"]["message"].endswith("(max_response_bytes): send fewer inputs in a request.")
    assert {each.error_kind for each in (await gateway.finished()).attempts} == {"size_refused"}


async def test_embeddings_come_from_the_cache_where_the_model_allows_it(make_upstream, make_gateway, wire):
    upstream = await make_upstream()
    model = wire.model_config("alpha", name="acme/embed", operation="embeddings", cache_ttl_seconds=60.0)
    gateway = await make_gateway(upstream, models=[model])
    body = json.dumps({"model": "acme/embed", "input": "x"}).encode()
    first, second = [await gateway.post("/v1/embeddings", body) for _ in range(2)]
    assert (first.headers["x-gatewayz-cache"], second.headers["x-gatewayz-cache"]) == ("miss", "hit")
    assert first.raw == second.raw
    assert len(upstream.exchanges) == 1
    assert [call.cached for call in (await gateway.finished()).calls] == [False, True]
