"""Attacks without a key, by connections and by bodies that nobody wants."""

from bench.attacks.answers import gzip_bomb
from bench.attacks.attack import Attack
from bench.attacks.heads import CHAT, HEAD_BYTES
from bench.attacks.target import PIECE_BYTES, Target, at_once, burst, flood, head, hold, leave, post, pour, sip

_MANY = 6_000
_BODY_BYTES = 10_000_000
_UNKNOWN_KEY = "gwz_" + "A" * 43
_CHUNKED = head("GET", "/health/live", headers=("transfer-encoding: chunked",))
_CHUNKED_CHAT = head("POST", CHAT, headers=("transfer-encoding: chunked",))


def _fields(target: Target) -> bytes:
    number = next(target.numbers)
    return b"".join(b"x-%d-%d: value\r\n" % (number, each) for each in range(2_000))


async def trailers(target: Target) -> None:
    await pour(target, 1, _CHUNKED + b"0\r\n", lambda: _fields(target))


async def trailers_4(target: Target) -> None:
    await pour(target, 4, _CHUNKED + b"0\r\n", lambda: _fields(target))


async def trailer_value(target: Target) -> None:
    await pour(target, 4, _CHUNKED_CHAT + b"0\r\nx-long: ", lambda: b"v" * PIECE_BYTES)


async def extensions(target: Target) -> None:
    await pour(target, 4, _CHUNKED_CHAT + b"1;name=", lambda: b"e" * PIECE_BYTES)


async def short_extensions(target: Target) -> None:
    await pour(target, 8, _CHUNKED_CHAT, lambda: b"1;a=b\r\nx\r\n" * 6_000)


async def tiny_chunks(target: Target) -> None:
    await pour(target, 8, _CHUNKED_CHAT, lambda: b"1\r\nx\r\n" * 10_000)


async def idle(target: Target) -> None:
    await hold(target, _MANY, lambda: b"")


async def churn(target: Target) -> None:
    await leave(target, 300, lambda: b"", after_seconds=0.0)


async def slow_heads(target: Target) -> None:
    beginning = head("POST", CHAT, headers=["x-long: " + "v" * HEAD_BYTES])[:-2]
    await hold(target, 2_000, lambda: beginning, drip=b"x-a: b\r\n")


async def slow_bodies(target: Target) -> None:
    beginning = post(CHAT, b"{", declared_bytes=_BODY_BYTES)
    await hold(target, 2_000, lambda: beginning, drip=b" ")


async def slow_bodies_unknown_key(target: Target) -> None:
    beginning = post(CHAT, b"{" * 1_000, key=_UNKNOWN_KEY, declared_bytes=_BODY_BYTES)
    await hold(target, 2_000, lambda: beginning, drip=b" " * 100)


async def bodies_unknown_key(target: Target) -> None:
    beginning = post(CHAT, b"", key=_UNKNOWN_KEY, declared_bytes=_BODY_BYTES)
    await pour(target, 64, beginning, lambda: b"[]," * (PIECE_BYTES // 3))


async def bodies_everywhere(target: Target) -> None:
    paths = ("/health/live", "/metrics", "/", "/nowhere", "/v1/models")
    beginnings = [post(path, b"", declared_bytes=_BODY_BYTES) for path in paths]
    await pour(target, 32, target.random.choice(beginnings), lambda: b"x" * PIECE_BYTES)


async def bombs(target: Target) -> None:
    bomb = gzip_bomb(b"[]," * 1_000, 200_000_000)
    requests = [
        post(path, bomb, key=key, headers=("content-encoding: gzip",))
        for path, key in ((CHAT, ""), (CHAT, _UNKNOWN_KEY), ("/health/live", ""), ("/v1/embeddings", _UNKNOWN_KEY))
    ]
    await flood(target, 16, lambda: target.random.choice(requests))


async def expectations(target: Target) -> None:
    request = head("POST", CHAT, key=_UNKNOWN_KEY, headers=("expect: 100-continue", f"content-length: {_BODY_BYTES}"))
    await flood(target, 64, lambda: request)


async def half_closed(target: Target) -> None:
    requests = [head("GET", path) for path in ("/health/ready", "/metrics", "/prometheus/metrics/docs")]

    async def act() -> None:
        async with target.connection(receive_bytes=4_096) as connection:
            await connection.send(target.random.choice(requests))
            connection.end_sending()
            await connection.read(1)
            await target.stay()

    await at_once(target, 1_000, act)


async def unread_pages(target: Target) -> None:
    requests = [head("GET", path) for path in ("/metrics", "/prometheus/metrics/docs", "/prometheus/metrics/all")]
    await hold(target, 4_000, lambda: target.random.choice(requests), receive_bytes=4_096)


async def sipped_pages(target: Target) -> None:
    request = head("GET", "/metrics")
    await sip(target, 1_000, lambda: request)


async def reset_floods(target: Target) -> None:
    requests = [head("GET", "/metrics"), head("GET", "/health/ready"), post(CHAT, b"{}", key=_UNKNOWN_KEY)]
    await burst(target, 500, lambda: target.random.choice(requests), stay_seconds=0.002)


CONNECTIONS = (
    Attack("trailers", "no key", "trailer fields without end, 1 connection", trailers),
    Attack("trailers-4", "no key", "the same on 4 connections", trailers_4),
    Attack("trailer-value", "no key", "one trailer field without end, 4 connections", trailer_value),
    Attack("extensions", "no key", "a chunk extension without end", extensions),
    Attack("short-extensions", "no key", "an extension at each chunk of a byte", short_extensions),
    Attack("tiny-chunks", "no key", "chunks of a byte without end", tiny_chunks),
    Attack("idle", "no key", "6 000 idle connections", idle),
    Attack("churn", "no key", "300 connections at a time, closed at once", churn),
    Attack("slow-heads", "no key", "2 000 heads of 60 KB that do not end", slow_heads),
    Attack("slow-bodies", "no key", "2 000 bodies that do not come", slow_bodies),
    Attack("slow-unknown", "no key", "the same with an unknown key", slow_bodies_unknown_key),
    Attack("bodies-unknown", "no key", "bodies of 10 MB with an unknown key", bodies_unknown_key),
    Attack("bodies-elsewhere", "no key", "bodies of 10 MB where none is expected", bodies_everywhere),
    Attack("bombs", "no key", "compressed bodies of 200 MB, to calls and elsewhere", bombs),
    Attack("expectations", "no key", "Expect: 100-continue with an unknown key", expectations),
    Attack("half-closed", "no key", "1 000 pages whose clients end their side and read nothing", half_closed),
    Attack("unread-pages", "no key", "4 000 connections that leave a page of monitoring unread", unread_pages),
    Attack("sipped-pages", "no key", "1 000 connections that read metrics slowly", sipped_pages),
    Attack("resets", "no key", "500 requests at a time, left at once", reset_floods),
)
