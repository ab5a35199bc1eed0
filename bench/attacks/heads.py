"""Attacks without a key, by what stands before a body: lines, fields, pipelined requests."""

import itertools

from bench.attacks.attack import Attack
from bench.attacks.target import Target, burst, flood, head, hold, post, pour

CHAT = "/v1/chat/completions"
HEAD_BYTES = 60_000
_PIPELINED = 13_000
_MONITORING = ("/metrics", "/prometheus/metrics/summary", "/prometheus/metrics/docs", "/health/ready")
_SIMPLE = b"GET / HTTP/1.1\r\nhost: gateway\r\n\r\n"
_PROBE = b"GET /health/live HTTP/1.1\r\nhost: gateway\r\n\r\n"
_UPGRADE = ("connection: Upgrade, HTTP2-Settings", "upgrade: h2c", "http2-settings: AAMAAABkAAQAAP__")


async def pipeline_20(target: Target) -> None:
    await burst(target, 20, lambda: b"GET / HTTP/1.1\r\n\r\n" * _PIPELINED)


async def pipeline_100(target: Target) -> None:
    await burst(target, 100, lambda: _SIMPLE * _PIPELINED)


async def pipeline_probes(target: Target) -> None:
    await burst(target, 100, lambda: _PROBE * _PIPELINED)


async def pipeline_pages(target: Target) -> None:
    request = head("GET", "/prometheus/metrics/docs") * 200
    await hold(target, 500, lambda: request, receive_bytes=4_096)


async def upgrades(target: Target) -> None:
    hidden = _SIMPLE * 2_000
    await burst(target, 50, lambda: post(CHAT, hidden, headers=_UPGRADE) * 4, stay_seconds=0.3)


async def negotiation(target: Target) -> None:
    fields = itertools.cycle(
        (
            "accept: " + "*/*," * (HEAD_BYTES // 4),
            "accept: " + ",".join(f"text/x{n};q=0.{n % 10}" for n in range(HEAD_BYTES // 18)),
            "accept-encoding: " + "gzip;q=0.1," * (HEAD_BYTES // 11),
            "accept-language: " + "de;q=0.5," * (HEAD_BYTES // 9),
            "cookie: " + "a=b; " * (HEAD_BYTES // 5),
        )
    )
    await flood(target, 16, lambda: head("GET", "/metrics", headers=(next(fields),)))


async def queries(target: Target) -> None:
    def request() -> bytes:
        number = next(target.numbers)
        path = _MONITORING[number % 3]
        query = "&".join(f"{name}{number}" for name in ("name[]=a", "b", "c") * 300)
        return head("GET", f"{path}?{query}"[:8_000])

    await flood(target, 16, request)


async def paths(target: Target) -> None:
    def request() -> bytes:
        number = next(target.numbers)
        text = f"{number:08}/" * 800
        starts = ("/", "/v1/models/", "/prometheus/metrics/", "/health/", "/v1/chat/completions/")
        return head("GET", (starts[number % len(starts)] + text)[:8_000])

    await flood(target, 16, request)


async def many_fields(target: Target) -> None:
    request = head("POST", CHAT, headers=[f"x-{n}: {'v' * 200}" for n in range(240)] + ["content-length: 0"])
    await flood(target, 32, lambda: request)


async def contexts(target: Target) -> None:
    def request() -> bytes:
        number = next(target.numbers)
        state = ",".join(f"k{n}=v{number}" for n in range(4_000))[:HEAD_BYTES]
        fields = (f"traceparent: 00-{number:032x}-{number + 1:016x}-01", f"tracestate: {state}")
        return post(CHAT, b"{}", headers=fields)

    await flood(target, 16, request)


async def refused_heads(target: Target) -> None:
    kinds = itertools.cycle(
        (
            head("GET", "/" + "a" * 9_000),
            head("GET", "/", headers=[f"x-{n}: v" for n in range(300)]),
            b"GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
            b"\x16\x03\x01" + b"\x00" * 400,
            b"GET / HTTP/9.9\r\nhost: a\r\n\r\n",
            b"CONNECT a:1 HTTP/1.1\r\nhost: a\r\n\r\n",
        )
    )

    await flood(target, 64, lambda: next(kinds))


async def empty_lines(target: Target) -> None:
    await pour(target, 8, b"", lambda: b"\r\n" * 30_000)


async def http_1_0(target: Target) -> None:
    request = b"GET /health/ready HTTP/1.0\r\nhost: gateway\r\n\r\n"
    await flood(target, 64, lambda: request)


async def monitoring(target: Target) -> None:
    paths = itertools.cycle((*_MONITORING, "/prometheus/metrics/all", "/docs", "/", "/nowhere"))
    await flood(target, 100, lambda: head("GET", next(paths)))


async def malformed_keys(target: Target) -> None:
    def request() -> bytes:
        key = f"gwz_{next(target.numbers):043x}"
        return post(CHAT, b"{}", key=key)

    await flood(target, 64, request)


async def long_keys(target: Target) -> None:
    def request() -> bytes:
        return post(CHAT, b"{}", key=f"gwz_{next(target.numbers)}" + "k" * HEAD_BYTES)

    await flood(target, 16, request)


HEADS = (
    Attack("pipeline-20", "no key", "13 000 GETs on each of 20 connections, unread, closed, again", pipeline_20),
    Attack("pipeline-100", "no key", "the same on 100 connections", pipeline_100),
    Attack("pipeline-probes", "no key", "13 000 health checks on each of 100 connections, unread", pipeline_probes),
    Attack("pipeline-pages", "no key", "200 long pages on each of 500 connections, unread and kept", pipeline_pages),
    Attack("upgrades", "no key", "offers of h2c with requests in their bodies, pipelined", upgrades),
    Attack("negotiation", "no key", "60 KB of Accept, Accept-Encoding, Accept-Language, Cookie", negotiation),
    Attack("queries", "no key", "8 KB of query parameters, all different", queries),
    Attack("paths", "no key", "8 KB of path, all different", paths),
    Attack("many-fields", "no key", "240 fields in 50 KB of head", many_fields),
    Attack("contexts", "no key", "60 KB of tracestate, all different", contexts),
    Attack("refused-heads", "no key", "heads that are refused, of six kinds", refused_heads),
    Attack("empty-lines", "no key", "empty lines instead of a request", empty_lines),
    Attack("http-1.0", "no key", "readiness by HTTP/1.0, a connection each", http_1_0),
    Attack("monitoring", "no key", "metrics, summary, reference, readiness on 100 connections", monitoring),
    Attack("unknown-keys", "no key", "unknown keys, all different", malformed_keys),
    Attack("long-keys", "no key", "keys of 60 KB, all different", long_keys),
)
