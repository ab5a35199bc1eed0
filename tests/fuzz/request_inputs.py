"""Tame inputs: well-formed HTTP with hostile bodies, model names, paths, methods, queries and headers."""

import gzip
import json
import random
from collections.abc import Callable
from typing import Final
from urllib.parse import quote_from_bytes, unquote

from tests.fuzz.canaries import BASIC, HEADER, PATH, PROMPT, TOKEN, Keys
from tests.fuzz.environment import LIAR, LIAR_EMBEDDINGS, MAX_BODY_BYTES, MODEL_NAMES
from tests.fuzz.hostile_values import Material, mutate
from tests.fuzz.inputs import Headers, Input, request_bytes

CHAT: Final = "/v1/chat/completions"
EMBEDDINGS: Final = "/v1/embeddings"
Fields = list[tuple[str, str]]
"""A JSON object as text: names and values, duplicates included."""

_KNOWN_FIELDS: Final = (
    "model", "messages", "stream", "stream_options", "temperature", "n", "max_tokens", "max_completion_tokens", "tools", "input",
    "encoding_format", "user", "metadata", "logit_bias", "response_format", "stop", "seed", "x_script", "x_lie",
)  # fmt: skip
_METHODS: Final = (
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "DELETE",
    "OPTIONS",
    "PATCH",
    "TRACE",
    "PROPFIND",
    "PURGE",
    "M-SEARCH",
    "MKCOL",
    "LOCK",
)
_PATHS: Final = (
    "/", "/v1", "/v1/", "//v1//models", "/v1/models", "/v1/models/", CHAT, f"{CHAT}/", EMBEDDINGS, "/v1/models/fuzz/liar",
    "/v1/models/fuzz%2Fliar", "/v1/models/../../etc/passwd", "/v1/../metrics", "/metrics", "/metrics/", "/prometheus/metrics/all",
    "/prometheus/metrics/system", "/prometheus/metrics/summary", "/prometheus/metrics/docs", "/prometheus/metrics/", "/prometheus",
    "/prometheus/metrics/nothing", "/health/live", "/health/ready", "/health", "/docs", "/schema", "/favicon.ico", "/.env", "/%2e%2e/",
    "/%00", "/%ff%fe", "/%C3%28", "/%ed%a0%80", "/v1/models/%00", "/v1/models/%0d%0ax:1", "/v1%2fmodels", "/V1/models", "/v1/models;a=b",
    "/%76%31/models", "/v1/chat/completions%20", "/*", "/v1/models/{model}", "/prometheus/metrics/%7Bcategory%7D", "/v1/models/%25",
)  # fmt: skip
_READABLE: Final = (
    "/metrics",
    "/prometheus/metrics/models",
    "/prometheus/metrics/summary",
    "/v1/models",
    "/health/ready",
)
_ACCEPTS: Final = (
    "*/*", "text/plain;version=0.0.4", "application/openmetrics-text;version=1.0.0", "text/html", "", ",", ";q=1", "text/plain;q=abc",
    "text/plain;q=-1,application/openmetrics-text;q=9", "application/openmetrics-text;version=99", "*/*;q=0", "text/plain;q=0.5;q=0.9",
    'text/plain;version="0.0.4', "a/b," * 200, "text/plain; escaping=values", "application/vnd.google.protobuf",
)  # fmt: skip
_ENCODINGS: Final = (
    "gzip",
    "gzip;q=0",
    "identity;q=0",
    "*;q=0",
    "br",
    "gzip;q=1.5",
    "gzip;q=",
    ",,,",
    "x-gzip",
    "GZIP",
    "deflate, gzip",
)
_TRACE: Final = "0af7651916cd43dd8448eb211c80319c"
_TRACEPARENTS: Final = (
    f"00-{_TRACE}-b7ad6b7169203331-01", f"00-{_TRACE}-b7ad6b7169203331-00", f"cc-{_TRACE}-b7ad6b7169203331-01-what",
    f"ff-{_TRACE}-b7ad6b7169203331-01", f"00-{_TRACE.upper()}-b7ad6b7169203331-01", f"00-{'0' * 32}-b7ad6b7169203331-01",
    f"00-{_TRACE}-{'0' * 16}-01", f"00-{_TRACE}-b7ad6b7169203331-zz", f"00-{_TRACE}-b7ad6b7169203331", f"00-{_TRACE}-b7ad6b7169203331-01-",
    f"00-{_TRACE[:-1]}-b7ad6b7169203331-01", "", "-", "00---", "00-" + "f" * 5_000, f"00-{TOKEN}-{TOKEN}-01", "00-\xb2\xb3-\xb9-01",
    f"00-{_TRACE}-b7ad6b7169203331-ff", f"0x-{_TRACE}-b7ad6b7169203331-01", f" 00-{_TRACE}-b7ad6b7169203331-01 ",
)  # fmt: skip
_TRACESTATES: Final = (
    "a=1", "a=1,b=2", "a=1,a=2", "=", ",", "a", "A=1", "a=" + "x" * 256, "a=" + "x" * 257, ",".join(f"k{index}=v" for index in range(40)),
    "a@b=c", "a=1=2", "a=\xe9", "  a=1 ,\tb=2", "a" * 300 + "=1", 'a=",provider="x',
    f"{HEADER} says", f"a=1,{TOKEN}=\t,b=2", f"={HEADER}", f"a=1,a=2,{HEADER.upper()}=1",
)  # fmt: skip
_CONTENT_TYPES: Final = (
    "application/json", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "multipart/form-data",
    "application/json; charset=utf-16", "application/json; charset=\xff", "", ";", "application/msgpack", "a" * 2_000, "text/event-stream",
)  # fmt: skip


def header_text(rng: random.Random, material: Material) -> bytes:
    """Return a value that HTTP allows in a header, whatever it means."""
    text = material.text(rng).encode("utf-8", "surrogatepass")[:3_000]
    return bytes(byte for byte in text if byte >= 0x20 and byte != 0x7F).strip(b" ")


def chat_fields(rng: random.Random, model: str = LIAR) -> Fields:
    """Return a valid chat request."""
    fields = [
        ("model", json.dumps(model)),
        ("messages", json.dumps([{"role": "user", "content": f"{PROMPT} {rng.random()}"}])),
    ]
    if rng.random() < 0.3:
        fields.append(("stream", "true"))
        if rng.random() < 0.5:
            fields.append(("stream_options", '{"include_usage":true}'))
    if rng.random() < 0.2:
        fields.append(("temperature", "0"))
    return fields


def embeddings_fields(model: str = LIAR_EMBEDDINGS) -> Fields:
    """Return a valid embeddings request."""
    return [("model", json.dumps(model)), ("input", json.dumps([PROMPT, "text"]))]


def json_object(fields: Fields) -> bytes:
    """Write an object whose values are JSON text already."""
    text = "{" + ",".join(f"{json.dumps(name)}:{value}" for name, value in fields) + "}"
    return text.encode("utf-8", "surrogatepass")


class RequestInputs:
    """Makes tame inputs from one batch's material."""

    def __init__(self, rng: random.Random, material: Material, keys: Keys) -> None:
        self._rng = rng
        self._material = material
        self._keys = keys
        self._makers: list[tuple[Callable[[], Input], int]] = [
            (self.field, 30), (self.mutated_body, 14), (self.odd_body, 12), (self.model_name, 12), (self.path, 18), (self.headers, 16),
        ]  # fmt: skip

    def one(self) -> Input:
        """Return the next input."""
        makers, weights = zip(*self._makers, strict=True)
        maker: Callable[[], Input] = self._rng.choices(makers, weights)[0]
        return maker()

    def post(self, kind: str, path: str, body: bytes, headers: Headers | None = None) -> Input:
        """Return a POST of JSON, mostly with a valid key."""
        sent = [self._key(), (b"Content-Type", b"application/json"), *(headers or [])]
        return Input(kind=kind, payload=request_bytes("POST", path.encode(), sent, body), method="POST", path=path)

    def field(self) -> Input:
        """One or two fields hold anything, are missing, or come twice."""
        rng = self._rng
        path, fields = self._valid()
        for _ in range(rng.randint(1, 2)):
            name = rng.choice(_KNOWN_FIELDS) if rng.random() < 0.85 else self._material.text(rng)
            match rng.randrange(4):
                case 0:
                    fields = [field for field in fields if field[0] != name]
                case 1:
                    fields.insert(0, (name, self._material.value(rng)))
                case _:
                    fields = [field for field in fields if field[0] != name] + [(name, self._material.value(rng))]
        return self.post("field", path, json_object(fields))

    def mutated_body(self) -> Input:
        """A valid body with some bytes changed."""
        path, fields = self._valid()
        return self.post("mutated body", path, mutate(self._rng, json_object(fields)))

    def odd_body(self) -> Input:
        """A body that is no such object at all."""
        rng = self._rng
        path, fields = self._valid()
        whole = json_object(fields)
        headers: Headers = []
        match rng.randrange(9):
            case 0:
                body = self._material.value(rng).encode("utf-8", "surrogatepass")
            case 1:
                body = rng.choice(self._material.blobs)
            case 2:
                body = gzip.compress(whole, mtime=0)
                headers = [(b"Content-Encoding", rng.choice((b"gzip", b"br", b"identity")))]
            case 3:
                depth = rng.choice((100, 1_000, 10_000, 30_000))
                opening, closing = rng.choice((("[", "]"), ('{"a":', "}")))
                nested = opening * (depth // len(opening)) + "1" + closing * (depth // len(opening))
                body = json_object([*fields, (rng.choice(_KNOWN_FIELDS), nested)])
            case 4:
                body = whole + rng.choice((b" ", b"\n", b"\x00", b"{}", whole))
            case 5:
                body = rng.choice((b"\xef\xbb\xbf" + whole, whole.decode("latin-1").encode("utf-16"), b"\xff\xfe", b""))
            case 6:
                size = rng.choice((MAX_BODY_BYTES - 1, MAX_BODY_BYTES, MAX_BODY_BYTES + 1, 3 * MAX_BODY_BYTES))
                body = json_object([*fields, ("user", json.dumps("x" * max(0, size - len(whole) - 10)))])
            case 7:
                body = json_object(
                    [*fields, ("metadata", "{" + ",".join(f'"k{index}":{index}' for index in range(2_000)) + "}")]
                )
            case _:
                body = whole
                headers = [(b"Content-Type", rng.choice(_CONTENT_TYPES).encode("latin-1"))]
        return self.post("odd body", path, body, headers)

    def model_name(self) -> Input:
        """A valid request for a model of any name."""
        rng = self._rng
        name = self._material.text(rng) if rng.random() < 0.8 else rng.choice(MODEL_NAMES) + self._material.text(rng)
        path, fields = (CHAT, chat_fields(rng, name)) if rng.random() < 0.7 else (EMBEDDINGS, embeddings_fields(name))
        return self.post("model name", path, json_object(fields))

    def path(self) -> Input:
        """Any method on any path, with any query."""
        rng = self._rng
        draw = rng.random()
        if draw < 0.5:
            path = rng.choice(_PATHS)
        elif draw < 0.75:
            path = rng.choice(("/", "/v1/models/", "/prometheus/metrics/", "/v1/")) + self._quoted(
                self._material.text(rng)
            )
        else:
            path = rng.choice(_PATHS) + rng.choice((f"/{PATH}", f"%2f{PATH}", "/" * 50, "/a" * 700, "%20", "?", "%"))
        target = path.partition("?")[0]
        method = rng.choice(_METHODS) if rng.random() < 0.6 else "GET"
        query = ""
        if rng.random() < 0.4:
            query = "?" + rng.choice((
                f"category={self._quoted(self._material.text(rng))}", "category=system", "name[]=tokens_used_total", "name[]=" + "x" * 3_000,
                f"name[]={self._quoted(self._material.text(rng))}", "&&&==&", "category=a&category=b", "%", "%zz", f"key={TOKEN}", "a=" * 900,
            ))  # fmt: skip
        body = json_object(chat_fields(rng)) if method in {"POST", "PUT", "PATCH"} and rng.random() < 0.7 else None
        headers = [*([self._key(target)] if rng.random() < 0.7 else []), (b"Accept", rng.choice(_ACCEPTS).encode())]
        payload = request_bytes(method, (target + query).encode(), headers, body)
        return Input(kind="path", payload=payload, method=method, path=unquote(target))

    def headers(self) -> Input:
        """Hostile headers on a request that is otherwise good."""
        rng = self._rng
        odd = [self._odd_header() for _ in range(rng.randint(1, 4))]
        is_chat = rng.random() < 0.6
        path = CHAT if is_chat else rng.choice(_READABLE)
        has_own = any(name == b"Authorization" for name, _ in odd)
        key = [] if (has_own and rng.random() < 0.8) or rng.random() < 0.1 else [self._key(path)]
        body = json_object(chat_fields(rng)) if is_chat else None
        method = "POST" if is_chat else "GET"
        payload = request_bytes(method, path.encode(), [*key, *odd], body)
        return Input(kind="headers", payload=payload, method=method, path=path)

    def _key(self, path: str = CHAT) -> tuple[bytes, bytes]:
        """Return a header with a key: the right one for the path, now and then one that is used up or revoked."""
        keys = self._keys
        right = keys.monitoring if path.startswith(("/metrics", "/prometheus")) else keys.main
        key = self._rng.choices((right, keys.main, keys.limited, keys.revoked, keys.monitoring), (90, 3, 4, 2, 1))[0]
        return b"Authorization", b"Bearer " + key.encode()

    def _odd_header(self) -> tuple[bytes, bytes]:
        rng, text = self._rng, header_text(self._rng, self._material)
        token, header = TOKEN.encode(), HEADER.encode()
        authorizations = (
            b"Bearer " + token, b"bearer  " + token, b"Bearer", b"Bearer ", b"Basic " + BASIC.encode(), b"Token " + token, token, text,
            b"Bearer gwz_" + token * 3, b"Bearer sk-" + token, b"Bearer a, Bearer b", b"Bearer " + b"x" * 8_000, b"Bearer \xff\xfe",
        )  # fmt: skip
        forwarded = (text, header, b"javascript", b"1.2.3.4, " * 90, b"for=_x;proto=" + header)
        others = (text, token, header * 100)
        values: dict[bytes, tuple[bytes, ...]] = {
            b"Authorization": authorizations,
            b"traceparent": tuple(value.encode("latin-1").strip() for value in _TRACEPARENTS),
            b"tracestate": tuple(value.encode("latin-1").strip() for value in _TRACESTATES),
            b"Accept": tuple(value.encode() for value in _ACCEPTS),
            b"Accept-Encoding": tuple(value.encode() for value in _ENCODINGS),
            b"Content-Type": tuple(value.encode("latin-1") for value in _CONTENT_TYPES),
            b"Cookie": (b"a=b; " * 100, header, text, b"=;=;"),
            b"Expect": (b"100-continue", b"200-ok", text),
            rng.choice(
                (b"X-Forwarded-For", b"X-Forwarded-Host", b"X-Forwarded-Proto", b"Forwarded", b"Host", b"X-Request-Id")
            ): forwarded,
            rng.choice(
                (b"X-Api-Key", b"Api-Key", b"Baggage", b"Range", b"If-None-Match", b"Origin", b"User-Agent", b"Referer")
            ): others,
        }
        name = rng.choices(list(values), (2, 2, 2, 1, 1, 1, 1, 1, 1, 2))[0]
        return name, rng.choice(values[name])

    def _valid(self) -> tuple[str, Fields]:
        rng = self._rng
        draw = rng.random()
        if draw < 0.7:
            return CHAT, chat_fields(rng)
        if draw < 0.8:
            return CHAT, chat_fields(rng, rng.choice(MODEL_NAMES))
        return EMBEDDINGS, embeddings_fields()

    def _quoted(self, text: str) -> str:
        return quote_from_bytes(
            text.encode("utf-8", "surrogatepass")[:2_500], safe=self._rng.choice(("", "/", "/-._~!$&'()*+,;=:@"))
        )
