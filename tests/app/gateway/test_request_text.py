"""What the body of a request may be: compressed, nested, with half a character in it; and what a bad one is told."""

import asyncio
import gzip
import json
import zlib

import pytest

from app.config.schema import ServerConfig
from app.gateway.json_bounds import MAX_DEPTH, NestedTooDeeplyError, check_depth
from otel.events import CallFinished

pytestmark = pytest.mark.live
CHAT = "/v1/chat/completions"
GOOD = json.dumps({"model": "acme/tiny", "messages": [{"role": "user", "content": "x"}]}).encode()


def packed(data, compresslevel=9):
    """gzip without the time in its head: pytest-xdist wants the same parameters in each of its processes."""
    return gzip.compress(data, compresslevel=compresslevel, mtime=0)


def raw_deflate(data):
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(data) + compressor.flush()


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("identity", GOOD),
        ("gzip", packed(GOOD)),
        ("GZip", packed(GOOD)),
        ("x-gzip", packed(GOOD)),
        ("gzip", packed(GOOD[:20]) + packed(b"") + packed(GOOD[20:])),
        ("deflate", zlib.compress(GOOD)),
        ("deflate", raw_deflate(GOOD)),
        ("deflate, gzip", packed(zlib.compress(GOOD))),
        ("identity, gzip, identity", packed(GOOD)),
        ("gzip", packed(GOOD + b" " * 900_000)),
        ("gzip", packed(GOOD + b" " * 900_000, compresslevel=0)),
    ],
)
async def test_compressed_bodies_reach_the_provider_decoded(make_upstream, make_gateway, coding, body):
    upstream = await make_upstream()
    gateway = await make_gateway(upstream)
    assert (await gateway.post(CHAT, body, {"content-encoding": coding})).status == 200
    exchange = upstream.exchanges[0]
    assert exchange.json["messages"] == [{"role": "user", "content": "x"}]
    assert "content-encoding" not in exchange.headers


@pytest.mark.parametrize(
    ("coding", "named"),
    [("br", "'br'"), ("zstd", "'zstd'"), ("gzip, br", "'br'"), ('<script>"', "unknown"), ("gzip, gzip, gzip", "3")],
)
async def test_other_codings_are_refused_by_name(make_upstream, make_gateway, coding, named):
    gateway = await make_gateway(await make_upstream())
    response = await gateway.post(CHAT, b"\x00\x01", {"content-encoding": coding})
    assert (response.status, response.json["error"]["code"]) == (415, "unsupported_content_encoding")
    assert response.headers["accept-encoding"] == "gzip, deflate"
    assert named in response.json["error"]["message"]
    assert "gzip" in response.json["error"]["message"]
    assert "script" not in response.json["error"]["message"]
    assert (await gateway.finished()).calls == []


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("gzip", GOOD),
        ("gzip", b""),
        ("gzip", packed(GOOD)[:-3]),
        ("gzip", packed(GOOD) + b"junk"),
        ("deflate", packed(GOOD)),
        ("gzip", zlib.compress(GOOD)),
        ("gzip", packed(b"") * 20_000),
    ],
)
async def test_a_body_that_is_not_what_its_header_says_is_a_400(make_upstream, make_gateway, coding, body):
    gateway = await make_gateway(await make_upstream())
    response = await gateway.post(CHAT, body, {"content-encoding": coding})
    assert response.status == 400
    assert repr(coding) in response.json["error"]["message"]


async def test_the_bound_of_bodies_holds_for_what_they_become(make_upstream, make_gateway):
    gateway = await make_gateway(await make_upstream(), server_config=ServerConfig(max_body_bytes=100_000))
    bomb = packed(GOOD + b" " * 50_000_000)
    assert len(bomb) < 100_000
    for body, coding in ((bomb, "gzip"), (packed(bomb), "gzip, gzip")):
        response = await gateway.post(CHAT, body, {"content-encoding": coding})
        assert (response.status, response.json["error"]["code"]) == (413, "request_too_large")
    assert gateway.gateway.calls_in_flight.body_bytes == 0


@pytest.mark.parametrize(
    "content",
    [rb"cut emoji \ud83d", rb"\udc00\ud83d\ude00", rb"\\\ud800 \\ud800", rb"\uD83D\uD83D\uDE00", "é \\ud800".encode()],
)
async def test_lone_surrogates_are_passed_on_as_they_are(make_upstream, make_gateway, content):
    async def script(exchange):
        response = {"choices": [{"index": 0, "message": {"content": "y"}, "finish_reason": "stop"}]}
        await exchange.reply(response)

    upstream = await make_upstream(script)
    gateway = await make_gateway(upstream, cache_ttl_seconds=60.0)
    messages = b'[{"role":"user","content":"%b"}]' % content
    body = b'{"model":"acme/tiny","temperature":0,"messages":%b,"stream_options":{"x":"\\ud800"}}' % messages
    for cache in ("miss", "hit"):
        response = await gateway.post(CHAT, body)
        assert (response.status, response.headers["x-gatewayz-cache"]) == (200, cache)
    assert messages in upstream.exchanges[0].body
    assert b'{"x":"\\ud800"}' in upstream.exchanges[0].body
    assert len(upstream.exchanges) == 1
    assert (await gateway.finished()).of(CallFinished)[0].usage.input_tokens > 0


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"model":"m",}', "trailing comma in object (byte 13)"),
        (b'{"model":"m"', "it ends too early"),
        (b'{"model":NaN}', "invalid character (byte 9)"),
        (b'{"model":"\xff"}', "not valid UTF-8 (byte 10)"),
        (b'{"a":"\\ud800","b":01}', "invalid number (byte 19)"),
        (b'{"model":"m","k\\ud83d":1}', "The name of a field of the request body holds a lone surrogate"),
    ],
)
async def test_invalid_json_is_told_where(make_upstream, make_gateway, body, reason):
    gateway = await make_gateway(await make_upstream())
    assert reason in (await gateway.post(CHAT, body)).json["error"]["message"]


@pytest.mark.parametrize(
    "name", ["Model", "MODEL", "Stream", "\u017ftream", "Stream_Options", "N", "Max_Tokens", "Messages"]
)
async def test_a_field_that_a_provider_may_take_for_one_of_ours_is_refused(make_upstream, make_gateway, name):
    upstream = await make_upstream()
    gateway = await make_gateway(upstream)
    body = {"model": "acme/tiny", "messages": [{"role": "user", "content": "x"}], name: "dearest"}
    response = await gateway.post(CHAT, json.dumps(body).encode())
    assert (response.status, response.json["error"]["param"]) == (400, name.casefold())
    assert upstream.exchanges == []
    other = {**body, "Modalities": ["text"], "X": 1}
    del other[name]
    assert (await gateway.post(CHAT, json.dumps(other).encode())).status == 200


def nested(levels, opening=b"[", closing=b"]"):
    return opening * levels + closing * levels


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (CHAT, b'{"model":"acme/tiny","messages":[{"content":%b}]}'),
        (CHAT, b'{"model":"acme/tiny","messages":[{}],"x":[{"y":%b}]}'),
        ("/v1/embeddings", b'{"model":"acme/embed","input":[[%b]]}'),
    ],
)
@pytest.mark.parametrize("inner", ["arrays", "objects"])
async def test_nesting_is_bounded_by_a_number_of_ours(make_upstream, make_gateway, path, body, inner):
    async def script(exchange):
        # Without usage, so that the text of the request is looked at too.
        if exchange.path.endswith("/embeddings"):
            await exchange.reply({"data": [{"embedding": [0.5]}]})
        else:
            await exchange.reply({"choices": [{"message": {"content": "y"}, "finish_reason": "stop"}]})

    gateway = await make_gateway(await make_upstream(script), cache_ttl_seconds=60.0)

    def deep(levels):
        return nested(levels) if inner == "arrays" else b'{"]":' * levels + b"1" + b"}" * levels

    response = await gateway.post(path, body % deep(MAX_DEPTH - 3))
    assert response.status == 200
    for levels in (MAX_DEPTH - 2, 700, 5_000, 100_000):
        response = await gateway.post(path, body % deep(levels))
        assert (response.status, response.json["error"]["type"]) == (400, "invalid_request_error")
        assert f"more than {MAX_DEPTH} levels" in response.json["error"]["message"]
    assert len((await gateway.finished()).calls) == 1


@pytest.mark.parametrize("levels", [MAX_DEPTH - 3, MAX_DEPTH, 700, 5_000, 100_000])
async def test_deeply_nested_responses_are_no_responses(make_upstream, make_gateway, wire, levels):
    deep = b'{"choices":[{"index":0,"message":%b,"finish_reason":"stop"}]}' % nested(levels)

    async def script(exchange):
        if exchange.json.get("stream"):
            await exchange.stream(b'{"choices":[{"index":0,"delta":%b}]}' % nested(levels), wire.chunk(finish="stop"))
        else:
            await exchange.reply(deep)

    gateway = await make_gateway(await make_upstream(script))
    expected = 200 if levels < MAX_DEPTH else 502
    assert (await gateway.chat()).status == expected
    assert (await gateway.chat(stream=True)).status == expected
    kinds = {attempt.error_kind for attempt in (await gateway.finished()).attempts}
    assert kinds == ({None} if expected == 200 else {"bad_response"})


@pytest.mark.parametrize(
    "text",
    [
        b"[]" * 1_000,
        b'["' + b"[" * 1_000 + b'"]',
        b'["\\"' + b"[" * 1_000 + b'"]',
        b'["\\\\",' + nested(MAX_DEPTH - 1) + b"]",
        b'["' + b"]" * 1_000 + b'",' + nested(MAX_DEPTH - 1) + b"]",
    ],
)
def test_brackets_in_strings_and_beside_each_other_are_no_depth(text) -> None:
    check_depth(text)


@pytest.mark.parametrize(
    "text",
    [
        nested(MAX_DEPTH + 1),
        b'["\\\\",' + nested(MAX_DEPTH) + b"]",
        b'["' + b"]" * 1_000 + b'",' + nested(MAX_DEPTH) + b"]",
        b'["\\"' + b"]" * 1_000 + b'",' + nested(MAX_DEPTH) + b"]",
    ],
)
def test_brackets_in_strings_hide_no_depth(text) -> None:
    with pytest.raises(NestedTooDeeplyError):
        check_depth(text)


async def test_a_client_that_leaves_while_its_body_is_decoded_leaves_nothing_behind(make_upstream, make_gateway, wire):
    gateway = await make_gateway(await make_upstream())
    body = packed(GOOD + b" " * 900_000)
    head = f"POST {CHAT} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {wire.key}\r\ncontent-encoding: gzip\r\n"
    _, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
    writer.transport.abort()
    await wire.until(lambda: len(gateway.gateway.calls_in_flight) == 0)
    assert gateway.gateway.calls_in_flight.body_bytes == 0
