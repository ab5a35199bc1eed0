"""Where a message ends, what bounds each phase of it, and which versions and fields are refused."""

import asyncio
import contextlib
import json

import pytest

from app.config.schema import ServerConfig
from app.server.http_framing import ChunkedBody
from tests.app.gateway.raw_client import CHAT, chunked, exchange, get, post, responses

CLOSE = get(b"/v1/models", b"connection: close")
CHUNKED = post(body=b"").replace(b"content-length: 0", b"transfer-encoding: chunked")
SMALL = ServerConfig(max_header_bytes=2_000)


async def statuses(gateway, *pieces):
    return [response.status for response in responses(await exchange(gateway.port, *pieces))]


@pytest.mark.parametrize(
    "field", [b"authorization: Bearer good-key", b"x: y", b"content-length: 3", b"transfer-encoding: x"]
)
async def test_a_trailer_is_no_header(make_upstream, make_gateway, field):
    upstream = await make_upstream()
    gateway = await make_gateway(upstream)
    without_key = CHUNKED.replace(b"authorization: Bearer good-key\r\n", b"")
    assert without_key != CHUNKED
    body = chunked(CHAT, trailers=field + b"\r\n")
    assert await statuses(gateway, without_key + body + CLOSE) == [401, 200]
    assert await statuses(gateway, without_key, body, CLOSE) == [401, 200]
    assert await statuses(gateway, CHUNKED + body + CLOSE) == [200, 200]
    assert len(upstream.exchanges) == 1
    await gateway.finished()


ENDLESS = {
    "trailer fields": (CHUNKED + b"0\r\n", b"x: y\r\n"),
    "trailer value": (CHUNKED + b"0\r\nx: ", b"y"),
    "trailer name": (CHUNKED + b"0\r\n", b"y"),
    "chunk extension": (CHUNKED + b"1;", b"y"),
    "white space before a chunk extension": (CHUNKED + b"1", b" "),
    "chunk extensions": (CHUNKED, b"1;y=zzzzzzzzzzzzzzzzzzzzzzzzz\r\nx\r\n"),
    "header fields": (b"GET / HTTP/1.1\r\nhost: x\r\n", b"x: y\r\n"),
    "header value": (b"GET / HTTP/1.1\r\nhost: x\r\nx: ", b"y"),
    "header name": (b"GET / HTTP/1.1\r\nhost: x\r\n", b"y"),
    "request target": (b"GET /", b"y"),
    "empty lines": (b"", b"\r\n"),
    "empty lines behind a request": (get(), b"\r\n"),
}


@pytest.mark.parametrize("kind", ENDLESS)
async def test_no_phase_goes_on_without_end(make_upstream, make_gateway, kind):
    gateway = await make_gateway(await make_upstream(), server_config=SMALL)
    start, more = ENDLESS[kind]
    piece = more * (1_000 // len(more) + 1)
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(start)
    try:
        async with asyncio.timeout(20):
            # A phase is over after two or three of these; the rest is thrown away.
            for _ in range(100):
                writer.write(piece)
                await writer.drain()
            writer.write_eof()
            raw = await reader.read()
    except ConnectionError:
        pytest.fail("the connection was reset before the response was read")
    writer.close()
    *_, last = responses(raw)
    assert (last.status, last.code) == (431, "headers_too_large")
    assert gateway.connections.unparsed_bytes == 0
    recorded = await gateway.finished()
    assert {request.status_code for request in recorded.requests} <= {200, 499}


BROKEN = [
    b"GET / HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n",
    b"GET / HTTP/1.0\r\nhost: a\r\nhost: b\r\n\r\n",
    b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\ncontent-length: 3\r\n\r\nabc",
    b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 3, 3\r\n\r\nabc",
    b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: +3\r\n\r\nabc",
    b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: -3\r\n\r\nabc",
    b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 0x3\r\n\r\nabc",
    b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999999999999\r\n\r\nabc",
    b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\ncontent-length: 3\r\n\r\n0\r\n\r\n",
    b"POST / HTTP/1.0\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: identity\r\n\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding : chunked\r\n\r\n0\r\n\r\n",
    b"GET / HTTP/1.1\nhost: x\n\n",
    b"GET / HTTP/1.1\r\nhost: x\r\nx: y\r\n z\r\n\r\n",
    b"GET / HTTP/1.1\r\nhost: x\r\nx: \x00\r\n\r\n",
    b"GET / HTTP/0.9\r\nhost: x\r\n\r\n",
    b"GET / HTTP/2.0\r\nhost: x\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"GET /\xff HTTP/1.1\r\nhost: x\r\n\r\n",
    b"GET /" + b"a" * 9_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n",
    b"GET /?" + b"a" * 9_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nhost: x\r\n" + b"a: b\r\n" * 300 + b"\r\n",
    b"GET /health/live#x HTTP/1.1\r\nhost: x\r\n\r\n",
    b"GET /health/live# HTTP/1.1\r\nhost: x\r\n\r\n",
    *(
        b"GET / HTTP/1.1\r\nhost: %b\r\n\r\n" % host
        for host in (
            b"u@a",
            b"a:xx",
            b"a:1:2",
            b"[::1",
            b"::1]",
            b"a b",
            b"a/b",
            b"a?b",
            b"a#b",
            b"a\\b",
            b"[]",
            b"\xe4.example",
        )
    ),
    b"POST / HTTP/1.1\r\nhost: a b\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
]


@pytest.mark.parametrize("blanks", [b"", b" ", b"\t", b" \t \t"])
async def test_blanks_around_a_value_are_not_part_of_it(make_upstream, make_gateway, blanks):
    gateway = await make_gateway(
        await make_upstream(),
        server_config=ServerConfig(tag_headers={"team": "x-team"}, cors_origins=("https://a.example",)),
    )
    fields = {
        b"host": b"gateway", b"content-length": b"%d" % len(CHAT), b"content-type": b"application/json",
        b"authorization": b"Bearer good-key", b"x-team": b"blue", b"origin": b"https://a.example",
    }  # fmt: skip
    lines = [name + b":" + blanks + value + blanks + b"\r\n" for name, value in fields.items()]
    request = b"POST /v1/chat/completions HTTP/1.1\r\n" + b"".join(lines) + b"\r\n" + CHAT
    chat, last = responses(await exchange(gateway.port, request + CLOSE))
    assert (chat.status, last.status) == (200, 200)
    assert dict(chat.headers)["access-control-allow-origin"] == "https://a.example"
    assert [row.tags for row in gateway.ledger.rows] == ['{"team":"blue"}']


@pytest.mark.parametrize(
    "host",
    [
        b"",
        b"a",
        b"a:",
        b"a:80",
        b"[::1]:8080",
        b"[fe80::1%25eth0]",
        b"127.0.0.1",
        b"gateway_1.local",
        b"xn--e1afmkfd.example",
    ],
)
async def test_every_host_is_served(make_upstream, make_gateway, host):
    gateway = await make_gateway(await make_upstream())
    request = b"GET /v1/models HTTP/1.1\r\nhost: %b\r\nauthorization: Bearer good-key\r\n\r\n" % host
    assert await statuses(gateway, request + CLOSE) == [200, 200]


@pytest.mark.parametrize("request_bytes", BROKEN, ids=lambda each: repr(each[:60]))
async def test_what_is_ambiguous_or_too_much_is_refused_and_nothing_behind_it_is_served(
    make_upstream, make_gateway, request_bytes
):
    gateway = await make_gateway(await make_upstream())
    (response,) = responses(await exchange(gateway.port, request_bytes + get()))
    assert response.status in {400, 414, 431, 501, 505}
    assert response.code in {
        "invalid_http", "uri_too_long", "headers_too_large", "not_implemented", "http_version_not_supported",
    }  # fmt: skip
    assert dict(response.headers)["connection"] == "close"
    assert gateway.recorder.requests == []


@pytest.mark.parametrize(
    ("codings", "status"),
    [(b"identity", 400), (b"gzip", 400), (b"chunked, identity", 400), (b"gzip, chunked", 501), (b"Chunked", 401)],
)
async def test_a_coding_that_hides_the_end_is_400_and_one_that_is_not_read_501(
    make_upstream, make_gateway, codings, status
):
    gateway = await make_gateway(await make_upstream())
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nconnection: close\r\n"
    request = head + b"transfer-encoding: %b\r\n\r\n0\r\n\r\n" % codings
    (response,) = responses(await exchange(gateway.port, request))
    assert response.status == status


BROKEN_CHUNKS = [
    b"zz\r\nab\r\n0\r\n\r\n",
    b"2\r\nabc\r\n0\r\n\r\n",
    b"2\r\nab0\r\n\r\n",
    b"2\nab\n0\n\n",
    b"2\r\nab\r\n0\r\nx\r\n\r\n",
    b"2\r\nab\r\n0\r\n: x\r\n\r\n",
    b"2\r\nab\r\n0\r\nx : y\r\n\r\n",
    b"2\r\nab\r\n0\r\nx: y\r\n z\r\n\r\n",
    b"2 \r\nab\r\n0\r\n\r\n",
    b"2 a\r\nab\r\n0\r\n\r\n",
    b"2 ;a\rb\r\nab\r\n0\r\n\r\n",
    b" 2\r\nab\r\n0\r\n\r\n",
    b"+2\r\nab\r\n0\r\n\r\n",
    b"0x2\r\nab\r\n0\r\n\r\n",
    b"1_0\r\nab\r\n0\r\n\r\n",
    b"00000000000000002\r\nab\r\n0\r\n\r\n",
    b"2;a\rb\r\nab\r\n0\r\n\r\n",
    b"2;\x00\r\nab\r\n0\r\n\r\n",
    b"\r\n2\r\nab\r\n0\r\n\r\n",
]


@pytest.mark.parametrize("body", BROKEN_CHUNKS)
@pytest.mark.parametrize("apart", [False, True])
async def test_broken_chunks_end_the_connection(make_upstream, make_gateway, body, apart):
    upstream = await make_upstream()
    gateway = await make_gateway(upstream)
    pieces = [CHUNKED, *[bytes([byte]) for byte in body]] if apart else [CHUNKED + body + get()]
    (response,) = responses(await exchange(gateway.port, *pieces, pause_seconds=0))
    assert (response.status, response.code) == (400, "invalid_http")
    assert not upstream.exchanges
    await gateway.finished()


@pytest.mark.parametrize("size", [1, 3, 10_000])
@pytest.mark.parametrize("extension", [b"", b";a", b" ;a=b", b'\t \t; a = "b;c" '])
@pytest.mark.parametrize("segment", [1, 7, 100_000])
async def test_chunks_of_any_size_in_any_segments_are_one_body(make_upstream, make_gateway, size, extension, segment):
    upstream = await make_upstream()
    gateway = await make_gateway(upstream)
    request = CHUNKED + chunked(CHAT, size=size, extension=extension, trailers=b"x: y\r\nz:\r\n") + CLOSE
    pieces = [request[start : start + segment] for start in range(0, len(request), segment)]
    raw = await exchange(gateway.port, *pieces, pause_seconds=0)
    assert [response.status for response in responses(raw)] == [200, 200]
    assert upstream.exchanges[0].json["messages"] == json.loads(CHAT)["messages"]
    await gateway.finished()


async def test_absolute_targets_and_empty_lines_in_front_are_served(make_upstream, make_gateway):
    gateway = await make_gateway(await make_upstream())
    request = b"\r\n\r\n" + get(b"http://gateway/v1/models") + b"\r\n" + CLOSE
    assert await statuses(gateway, request) == [200, 200]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("fields", [(), (b"connection: keep-alive",), (b"expect: 100-continue",)])
async def test_http_1_0_gets_no_chunks_and_the_end_of_the_connection(make_upstream, make_gateway, stream, fields):
    gateway = await make_gateway(await make_upstream())
    body = json.dumps({**json.loads(CHAT), "stream": stream}).encode()
    raw = await exchange(gateway.port, post(*fields, body=body).replace(b"HTTP/1.1", b"HTTP/1.0"))
    (response,) = responses(raw)
    fields = dict(response.headers)
    assert response.status == 200
    assert "transfer-encoding" not in fields
    assert fields["connection"] == "close"
    assert response.body.endswith(b"data: [DONE]\n\n" if stream else b"}")
    await gateway.finished()


async def test_http_1_0_needs_no_host(make_upstream, make_gateway):
    gateway = await make_gateway(await make_upstream())
    assert await statuses(gateway, b"GET /v1/models HTTP/1.0\r\nauthorization: Bearer good-key\r\n\r\n") == [200]


async def test_of_many_tiny_chunks_a_part_is_taken_at_a_time() -> None:
    body, data, content = ChunkedBody(1_000), b"1\r\na\r\n" * 5_000 + b"0\r\n\r\n", bytearray()
    steps, at = 0, 0
    while not body.is_complete:
        at, steps = body.take(data, at, content), steps + 1
    assert (steps, at, content) == (21, len(data), b"a" * 5_000)


@pytest.mark.parametrize("ends", [False, True])
async def test_a_body_of_tiny_chunks_is_served(make_upstream, make_gateway, ends) -> None:
    upstream = await make_upstream()
    gateway = await make_gateway(upstream)
    padded = CHAT[:-1] + b" " * 30_000 + b"}"
    body = b"".join(b"1\r\n%c\r\n" % byte for byte in padded) + b"0\r\n\r\n"
    close = b"" if ends else CLOSE
    got = await exchange(gateway.port, CHUNKED + body + close, half_close=ends)
    assert [response.status for response in responses(got)] == ([200] if ends else [200, 200])
    await gateway.finished()


@pytest.mark.parametrize("rest", ["body", "trailer"])
async def test_of_what_follows_a_refusal_only_a_bounded_part_is_taken(make_upstream, make_gateway, rest) -> None:
    gateway = await make_gateway(await make_upstream(), server_config=ServerConfig(max_body_bytes=100_000))
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    if rest == "body":
        writer.write(post(b"content-length: 1000000000000", body=b"").replace(b"content-length: 0\r\n", b""))
    else:
        writer.write(CHUNKED + b"0\r\n")
    # The send buffers of both ends are a few megabytes; without a bound this would go on for seconds.
    with pytest.raises(ConnectionError):
        for _ in range(10_000):
            writer.write(b"x: yyyy\r\n" * 10_000)
            await writer.drain()
    with contextlib.suppress(ConnectionError):
        await reader.read()
    writer.close()
