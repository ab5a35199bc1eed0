"""Wild inputs: bytes on a connection that are broken as HTTP, or several requests at once, or clients that leave."""

import random
from collections.abc import Callable
from typing import Final

from tests.fuzz.canaries import HEADER, PATH, TOKEN, Keys
from tests.fuzz.hostile_values import Material, mutate
from tests.fuzz.inputs import Headers, Input, Leave, request_bytes
from tests.fuzz.lie_inputs import LieInputs
from tests.fuzz.request_inputs import CHAT, RequestInputs, chat_fields, json_object

_REQUEST_LINES: Final = (
    b"", b" ", b"\x00", b"GET", b"GET /", b"GET  / HTTP/1.1", b"GET / HTTP/1.1 ", b" GET / HTTP/1.1", b"GET / HTTP/2.0", b"GET / HTTP/0.9",
    b"GET / HTTP/1.9", b"GET / HTTP/1.10", b"GET / HTPP/1.1", b"get / HTTP/1.1", b"G\x00T / HTTP/1.1", b"GET /\x00 HTTP/1.1",
    b"GET /\xff\xfe HTTP/1.1", b"GET /a b HTTP/1.1", b"GET\t/\tHTTP/1.1", b"FROBNICATE / HTTP/1.1", b"QUERY /v1/models HTTP/1.1",
    b"CONNECT gateway:80 HTTP/1.1", b"CONNECT / HTTP/1.1", b"OPTIONS * HTTP/1.1", b"GET * HTTP/1.1", b"GET http://gateway/v1/models HTTP/1.1",
    b"GET http://gateway HTTP/1.1", b"GET //gateway/v1/models HTTP/1.1", b"GET gateway HTTP/1.1", b"GET ?a HTTP/1.1", b"GET #a HTTP/1.1",
    b"GET /#a HTTP/1.1", b"GET http://[::1/ HTTP/1.1", b"GET http://a:99999/ HTTP/1.1", b"GET /" + b"a" * 70_000 + b" HTTP/1.1",
    b"PRI * HTTP/2.0", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"SSH-2.0-x", b"GET /" + PATH.encode() + b"\r HTTP/1.1",
    b"GET http:///v1/models HTTP/1.1", b"GET /v1/models HTTP/1.0", b"A" * 70_000,
)  # fmt: skip
_HEADER_LINES: Final = (
    b"", b":", b": x", b"x", b"x :y", b" x: y", b"\tx: y", b"x: y\r\n z", b"x: y\r\n\tz: w", b"x\x00: y", b"x: \x00", b"x: \r", b"x: a\rb: c",
    b"x: a\nb: c", b"\xff: x", b"x: \xff\xfe", b"x:" + b"y" * 20_000, b"y" * 20_000 + b": x", b"x: y\r\n" * 3_000 + b"a: b",
    b"Content-Length: -1", b"Content-Length: +1", b"Content-Length: 1, 1", b"Content-Length: 0x1", b"Content-Length: 99999999999999999999",
    b"Content-Length: 999999999", b"Content-Length:", b"Content-Length: 1\r\nContent-Length: 2", b"Content-Length: 5\r\nContent-Length: 5",
    b"Content-Length: 5\r\nTransfer-Encoding: chunked", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding: chunked, gzip", b"Transfer-Encoding: xchunked", b"Transfer-Encoding:\x0bchunked",
    b"Transfer-Encoding: identity", b"Connection: upgrade\r\nUpgrade: websocket", b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c",
    b"Connection: Upgrade\r\nUpgrade: TLS/1.2", b"Upgrade: x\r\nConnection: upgrade", b"Content-Length: 0\r\nUpgrade: h2c",
    b"Connection: close", b"Connection: keep-alive, close, " + b"x" * 500, b"Host: a\r\nHost: b", b"Expect: 100-continue", b"Expect: nothing",
    b"Authorization: Bearer " + TOKEN.encode() + b"\r\nAuthorization: Bearer " + TOKEN.encode(), b"traceparent: \xff", b"Trailer: x",
    b"Cookie: " + HEADER.encode() + b"\x00", b"X-Header: " + HEADER.encode() + b"\r\n\tfolded",
)  # fmt: skip
_CHUNKS: Final = (
    b"0\r\n\r\n", b"zz\r\n", b"-1\r\n", b'5;ext="a\r\nhello\r\n0\r\n\r\n', b"5\r\nhello0\r\n\r\n", b"ffffffffffffffff\r\n",
    b"fffffffffffffffff\r\n", b"5\nhello\n0\n\n", b"5\r\nhel", b"1\r\n{\r\n1\r\n}\r\n0\r\n\r\n", b"0\r\nx-trailer: y\r\n\r\n",
    b"0\r\n: bad\r\n\r\n", b"0\r\nAuthorization: Bearer x\r\n\r\n", b"0\r\n" + b"t: x\r\n" * 20_000,
    b"1;" + b"e=f;" * 20_000, b"00000000005\r\nhello\r\n0\r\n\r\n", b"5;" + b"e" * 20_000 + b"\r\nhello\r\n0\r\n\r\n",
    b"0\r\n" + b"t: " + b"x" * 70_000 + b"\r\n\r\n", b" 5\r\nhello\r\n0\r\n\r\n", b"1\r\na\r\n" * 500 + b"0\r\n\r\n",
)  # fmt: skip


_DEPARTURES: Final[tuple[Leave, ...]] = ("close", "half_close", "after_head")


class RawInputs:
    """Makes wild inputs, some of them out of tame ones."""

    def __init__(
        self, rng: random.Random, material: Material, requests: RequestInputs, lies: LieInputs, keys: Keys
    ) -> None:
        self._rng = rng
        self._material = material
        self._requests = requests
        self._lies = lies
        self._key: Headers = [
            (b"Authorization", b"Bearer " + keys.main.encode()),
            (b"Content-Type", b"application/json"),
        ]
        self._makers: list[tuple[Callable[[], Input], int]] = [
            (self.request_line, 14), (self.header_lines, 18), (self.chunked, 12), (self.mutated, 24), (self.pipelined, 14), (self.partial, 16),
            (self.garbage, 8),
        ]  # fmt: skip

    def one(self) -> Input:
        """Return the next input; HEAD is kept out of those whose answers are not known in number, for it hides where they end."""
        makers, weights = zip(*self._makers, strict=True)
        while True:
            maker: Callable[[], Input] = self._rng.choices(makers, weights)[0]
            made = maker()
            if b"HEAD " not in made.payload:
                return made

    def request_line(self) -> Input:
        """A first line that is none."""
        line = self._rng.choice(_REQUEST_LINES)
        if self._rng.random() < 0.3:
            line = mutate(self._rng, line)
        return self._input("request line", line + b"\r\nHost: gateway\r\n\r\n")

    def header_lines(self) -> Input:
        """Header lines that are none, contradict each other, or are too much."""
        rng = self._rng
        lines = [rng.choice(_HEADER_LINES) for _ in range(rng.randint(1, 3))]
        method, path = rng.choice(
            ((b"GET", b"/v1/models"), (b"POST", CHAT.encode()), (b"GET", b"/metrics"), (b"POST", b"/nowhere"))
        )
        key = [name + b": " + value for name, value in self._key] if rng.random() < 0.5 else []
        head = b"\r\n".join([method + b" " + path + b" HTTP/1.1", b"Host: gateway", *key, *lines])
        body = json_object(chat_fields(rng)) if rng.random() < 0.5 else b""
        return self._input("header lines", head + b"\r\n\r\n" + body)

    def chunked(self) -> Input:
        """A chunked body whose framing is odd or broken."""
        rng = self._rng
        whole = json_object(chat_fields(rng))
        good = b"%x\r\n%b\r\n0\r\n\r\n" % (len(whole), whole)
        body = rng.choice((rng.choice(_CHUNKS), mutate(rng, good), good + rng.choice(_CHUNKS)))
        headers = [*(self._key if rng.random() < 0.8 else []), (b"Transfer-Encoding", b"chunked")]
        return self._input("chunked", request_bytes("POST", CHAT.encode(), headers) + body)

    def mutated(self) -> Input:
        """A tame input with some bytes changed anywhere."""
        made = self._tame()
        return self._input("mutated", mutate(self._rng, made.payload))

    def pipelined(self) -> Input:
        """Several requests in one write, the last one perhaps broken."""
        rng = self._rng
        parts = [self._tame().payload for _ in range(rng.randint(2, 5))]
        if rng.random() < 0.5:
            parts.append(
                rng.choice((mutate(rng, parts[0]), b"\x00\x01", b"GET / HTTP/1.1\r\nbad", b"\r\n\r\n", b"x" * 30_000))
            )
        return self._input("pipelined", b"".join(parts))

    def partial(self) -> Input:
        """A client that leaves: in the middle of a request, right after it, or with the first bytes of the response."""
        rng = self._rng
        made = self._tame()
        payload = made.payload
        if rng.random() < 0.5:
            payload = payload[: rng.randrange(1, len(payload))]
        leave = rng.choice(_DEPARTURES)
        return Input(kind=f"partial, {leave}", payload=payload, cuts=self._cuts(payload), leave=leave)

    def garbage(self) -> Input:
        """Random bytes."""
        rng = self._rng
        blob = (
            rng.choice(self._material.blobs)
            if rng.random() < 0.5
            else rng.randbytes(rng.choice((1, 10, 100, 5_000, 40_000)))
        )
        return self._input("garbage", blob or b"\x00")

    def _tame(self) -> Input:
        return self._requests.one() if self._rng.random() < 0.6 else self._lies.one()

    def _input(self, kind: str, payload: bytes) -> Input:
        # A client that ends its side tells the server that nothing more will come: no time is lost with waiting.
        leave: Leave = "half_close" if self._rng.random() < 0.15 else "stay"
        return Input(kind=kind, payload=payload, cuts=self._cuts(payload), leave=leave)

    def _cuts(self, payload: bytes) -> tuple[int, ...]:
        if self._rng.random() < 0.6 or len(payload) < 2:
            return ()
        return tuple(sorted({self._rng.randrange(1, len(payload)) for _ in range(self._rng.randint(1, 4))}))
