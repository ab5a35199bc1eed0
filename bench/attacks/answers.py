"""What hostile providers send: the bytes of their responses, made piece by piece. Pure.

A model of the gateway's configuration has the name of an answer, and its provider sends that answer.
"""

import gzip
import itertools
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Final

import msgspec

MANY_BYTES: Final = 60_000_000
LARGE_BYTES: Final = 20_000_000
PIECE_BYTES: Final = 64 * 1024
_ENDLESS: Final = 1_000_000_000
_JSON: Final = "content-type: application/json"
_EVENTS: Final = "content-type: text/event-stream"
_MESSAGE: Final = {"role": "assistant", "content": "word " * 10}
_USAGE: Final = {"prompt_tokens": 10, "completion_tokens": 10, "total_tokens": 20}


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """One response. Without a `length` it is chunked. `interim`: comes before it; `pause_seconds`: between its pieces."""

    pieces: Callable[[], Iterable[bytes]]
    status: str = "200 OK"
    length: int | None = None
    headers: tuple[str, ...] = (_JSON,)
    interim: Callable[[], Iterable[bytes]] = tuple
    pause_seconds: float = 0.0
    chunk_bytes: int = PIECE_BYTES


def completion(**fields: object) -> bytes:
    """Return a chat completion with other fields beside or instead of the usual ones."""
    usual = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": "hostile",
        "choices": [{"index": 0, "message": _MESSAGE, "finish_reason": "stop"}],
        "usage": _USAGE,
    }
    return msgspec.json.encode(usual | fields)


def chunk(delta: object, *, index: object = 0, **fields: object) -> bytes:
    """Return one event of a stream."""
    usual = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": "hostile"}
    choice = {"index": index, "delta": delta, "finish_reason": None}
    return b"data: " + msgspec.json.encode({**usual, "choices": [choice], **fields}) + b"\n\n"


def filled(beginning: bytes, item: bytes, end: bytes, total_bytes: int) -> Iterator[bytes]:
    """Yield a beginning, an item repeated until so many bytes are full, and an end."""
    times = max(1, PIECE_BYTES // len(item))
    piece = item * times
    whole, rest = divmod((total_bytes - len(beginning) - len(end)) // len(item), times)
    yield beginning
    for _ in range(whole):
        yield piece
    yield item * rest + end


def _whole(beginning: bytes, item: bytes, end: bytes, total_bytes: int) -> Answer:
    """Return a JSON body of about so many bytes, with its length."""
    length = len(beginning) + len(end) + (total_bytes - len(beginning) - len(end)) // len(item) * len(item)
    return Answer(pieces=lambda: filled(beginning, item, end, total_bytes), length=length)


def _split(body: bytes, mark: bytes) -> tuple[bytes, bytes]:
    before, _, after = body.partition(mark)
    return before, after


def _stream(pieces: Callable[[], Iterable[bytes]], **options: object) -> Answer:
    return Answer(pieces=pieces, headers=(_EVENTS,), **options)  # type: ignore[arg-type]


def _endless(event: bytes) -> Callable[[], Iterable[bytes]]:
    """Repeat an event for as long as somebody reads."""
    piece = event * max(1, PIECE_BYTES // len(event))
    return lambda: itertools.repeat(piece)


def _numbered(make: Callable[[int], bytes]) -> Callable[[], Iterable[bytes]]:
    """Yield events that are all different."""
    return lambda: map(make, itertools.count())


def _begun(pieces: Callable[[], Iterable[bytes]]) -> Callable[[], Iterable[bytes]]:
    """Put the first content before them."""
    return lambda: itertools.chain([chunk({"role": "assistant", "content": "a"})], pieces())


def _bomb(body: Callable[[], Iterable[bytes]]) -> Callable[[], Iterable[bytes]]:
    """Compress what is read as a gzip body."""

    def pieces() -> Iterator[bytes]:
        compressor = zlib.compressobj(9, wbits=31)
        for piece in body():
            if compressed := compressor.compress(piece):
                yield compressed
        yield compressor.flush()

    return pieces


def _refusal(status: str, message: str = "no") -> Answer:
    body = msgspec.json.encode({"error": {"message": message, "type": "refused"}})
    return Answer(pieces=lambda: (body,), length=len(body), status=status)


def _small(body: bytes) -> Answer:
    return Answer(pieces=lambda: (body,), length=len(body))


def _fields(name: bytes) -> tuple[bytes, bytes]:
    return _split(completion(extra=["@"]), b'"@"') if name == b"extra" else _split(completion(choices=["@"]), b'"@"')


_EXTRA_BEFORE, _EXTRA_AFTER = _fields(b"extra")
_CHOICES_BEFORE, _CHOICES_AFTER = _fields(b"choices")
_TEXT_BEFORE, _TEXT_AFTER = _split(
    completion(choices=[{"index": 0, "message": {"role": "assistant", "content": "@"}, "finish_reason": "stop"}]), b"@"
)
_CHOICE: Final = b'{"index":0,"message":{"content":"a"},"finish_reason":"stop"}'
_EMBEDDING_BEFORE, _EMBEDDING_AFTER = _split(
    msgspec.json.encode(
        {"object": "list", "data": [{"object": "embedding", "index": 0, "embedding": ["@"]}], "usage": _USAGE}
    ),
    b'"@"',
)
_LARGE_DELTA: Final = chunk({"content": "x" * 8_000_000})
_GZIP: Final = "content-encoding: gzip"

ANSWERS: Final[Mapping[str, Answer]] = MappingProxyType(
    {
        "plain": _small(completion()),
        "cached": _small(completion()),
        "no-usage": _small(completion(usage=None)),
        "vectors": _small(b'{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.5]}]}'),
        "silent": Answer(pieces=lambda: (), pause_seconds=3_600.0),
        "small-lists": _whole(_EXTRA_BEFORE, b"[],", b"0" + _EXTRA_AFTER, MANY_BYTES),
        "small-objects": _whole(_EXTRA_BEFORE, b'{"a":1},', b"0" + _EXTRA_AFTER, MANY_BYTES),
        "small-choices": _whole(_CHOICES_BEFORE, _CHOICE + b",", _CHOICE + _CHOICES_AFTER, MANY_BYTES),
        "below-offload": _whole(_CHOICES_BEFORE, _CHOICE + b",", _CHOICE + _CHOICES_AFTER, 255_000),
        "surrogates": _whole(_TEXT_BEFORE, rb"\ud83d ", _TEXT_AFTER, LARGE_BYTES),
        "few-surrogates": _whole(_TEXT_BEFORE, rb"\ud83d ", _TEXT_AFTER, 3_900_000),
        "large-text": _whole(_TEXT_BEFORE, b"word ", _TEXT_AFTER, LARGE_BYTES),
        "large-vectors": _whole(_EMBEDDING_BEFORE, b"0.123456789,", b"0" + _EMBEDDING_AFTER, 50_000_000),
        "tiny-chunks": Answer(pieces=lambda: filled(_TEXT_BEFORE, b"a", _TEXT_AFTER, 4_000_000), chunk_bytes=1),
        "gzip-bomb": Answer(
            pieces=_bomb(lambda: filled(_TEXT_BEFORE, b"a", _TEXT_AFTER, _ENDLESS)), headers=(_JSON, _GZIP)
        ),
        "gzip-stream-bomb": Answer(
            pieces=_bomb(_begun(_endless(chunk({"content": "a" * 60_000})))), headers=(_EVENTS, _GZIP)
        ),
        "gzip-error-bomb": Answer(
            status="400 Bad Request",
            pieces=_bomb(lambda: filled(b'{"error":{"message":"', b"a", b'"}}', _ENDLESS)),
            headers=(_JSON, _GZIP),
        ),
        "large-events": _stream(_begun(lambda: itertools.repeat(_LARGE_DELTA))),
        "many-values": _stream(_begun(_endless(chunk({"content": "a"}, extra=[[]] * 99_000)))),
        "carriage-returns": _stream(_begun(_endless(b"\r"))),
        "line-feeds": _stream(_endless(b"\n")),
        "comments": _stream(_endless(b":\n")),
        "tiny-events": _stream(_begun(_endless(b"data:\n\n"))),
        "endless-event": _stream(_begun(_endless(b"data: a\n"))),
        "endless-stream": _stream(_begun(_endless(chunk({"content": "word "})))),
        "tool-calls": _stream(
            _begun(
                _numbered(
                    lambda n: chunk(
                        {"tool_calls": [{"index": n, "id": f"call_{n}", "function": {"arguments": "a" * 500}}]}
                    )
                )
            )
        ),
        "choice-indexes": _stream(_begun(_numbered(lambda n: chunk({"content": "a"}, index=n)))),
        "long-indexes": _stream(_begun(_numbered(lambda n: chunk({"content": "a"}, index=f"{n:03900}")))),
        "usage-fields": _stream(
            _begun(_numbered(lambda n: chunk({"content": "a"}, usage={f"field_{n}": n, "completion_tokens": n})))
        ),
        "interim": Answer(pieces=lambda: (), interim=_endless(b"HTTP/1.1 100 Continue\r\n\r\n")),
        "endless-head": Answer(
            pieces=lambda: (), interim=lambda: itertools.chain([b"HTTP/1.1 200 OK\r\n"], _endless(b"x-a: b\r\n")())
        ),
        "error-large": _refusal("400 Bad Request", "x" * 5_000_000),
        "refuses-400": _refusal("400 Bad Request"),
        "refuses-404": _refusal("404 Not Found"),
        "refuses-429": _refusal("429 Too Many Requests"),
        "refuses-503": _refusal("503 Service Unavailable"),
    }
)
EMBEDDING_ANSWERS: Final = frozenset({"vectors", "large-vectors"})


def gzip_bomb(item: bytes, total_bytes: int) -> bytes:
    """Return so many bytes of an item, compressed."""
    return gzip.compress(item * (total_bytes // len(item)), 9)
