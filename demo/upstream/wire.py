"""Builds the bodies that a provider sends, in the OpenAI wire format.

No I/O, no clock, no randomness: the same request gets the same response.
"""

import base64
import hashlib
import struct
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from demo.upstream.script import REPORTED_COST_USD, Script, requested_tokens

CREATED_UNIX_SECONDS: Final = 1_700_000_000
"""Fixed: a response depends only on its request."""

DONE: Final = b"data: [DONE]\n\n"
HTML_PAGE: Final = b"<!doctype html><title>502</title><h1>The proxy is confused</h1>"
EMBEDDING_LENGTH: Final = 16

_KINDS: Final = {
    400: "invalid_request_error",
    402: "insufficient_quota",
    404: "not_found_error",
    429: "rate_limit_error",
}
_SENTENCE: Final = (
    "the gateway counts every token that a model gives and every request that a client sends so that nobody has to guess what "
    "happened when a provider slows down or a stream breaks in the middle of a sentence"
)
_WORDS: Final = _SENTENCE.split()


class ChatResponse:
    """The response to one chat request, whole or in pieces."""

    def __init__(self, body: dict[str, Any], script: Script) -> None:
        self._body = body
        self._script = script
        count = script.words
        if count is None:
            count = script.completion_tokens if script.completion_tokens is not None else requested_tokens(body)
        self._words = [_WORDS[index % len(_WORDS)] + " " for index in range(count)]
        digest = hashlib.sha256(msgspec.json.encode(body, order="sorted")).hexdigest()
        self._head = {"id": f"chatcmpl-{digest[:24]}", "created": CREATED_UNIX_SECONDS, "model": body.get("model")}

    def whole(self) -> bytes:
        """Return a whole chat completion."""
        message = {"role": "assistant", "content": "".join(self._words)}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
        return _json({**self._head, "object": "chat.completion", "choices": [choice]} | self._usage())

    def first_chunk(self) -> bytes:
        """Return the event that opens a stream: the role, and no content yet."""
        return self._chunk({"role": "assistant", "content": ""})

    def content_chunks(self) -> Iterator[bytes]:
        """Return the events with content: the words, spread evenly over the scripted number of chunks."""
        words = self._words
        pieces = min(self._script.chunks, len(words))
        for index in range(pieces):
            text = "".join(words[index * len(words) // pieces : (index + 1) * len(words) // pieces])
            yield self._chunk({"content": text})

    def last_chunks(self) -> bytes:
        """Return the events that end a stream: the reason, the usage if it was asked for, the end marker."""
        options = self._body.get("stream_options")
        wanted = isinstance(options, dict) and options.get("include_usage") is True
        usage = self._usage() if wanted else {}
        end = self._chunk({}, finish_reason="stop")
        if usage:
            end += _event({**self._head, "object": "chat.completion.chunk", "choices": []} | usage)
        return end + DONE

    def _chunk(self, delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return _event({**self._head, "object": "chat.completion.chunk", "choices": [choice]})

    def _usage(self) -> dict[str, Any]:
        """Return the field `usage` in the scripted shape; empty where it is omitted."""
        script = self._script
        sent = prompt_tokens(self._body, script)
        made = len(self._words) if script.completion_tokens is None else script.completion_tokens
        usage: dict[str, Any]
        match script.usage:
            case "omitted":
                return {}
            case "other_names":
                usage = {"input_tokens": sent, "output_tokens": float(made)}
            case "detailed":
                usage = {
                    "prompt_tokens": sent,
                    "prompt_tokens_details": {"cached_tokens": sent // 2, "audio_tokens": None},
                    "completion_tokens": made,
                    "completion_tokens_details": {"reasoning_tokens": made // 3},
                    "cost": float(REPORTED_COST_USD),
                }
            case "unusable":
                usage = {"prompt_tokens": "many", "completion_tokens": -1, "total_tokens": None}
            case "reported":
                usage = {"prompt_tokens": sent, "completion_tokens": made, "total_tokens": sent + made}
        return {"usage": usage}


def error_body(status: int) -> bytes:
    """Return a provider's error object for an HTTP status."""
    kind = _KINDS.get(status, "server_error")
    return _json({"error": {"message": f"scripted {status}", "type": kind, "param": None, "code": str(status)}})


def refusal_body(message: str) -> bytes:
    """Return the error object for a request that this upstream does not understand."""
    return _json({"error": {"message": message, "type": "invalid_request_error", "param": None, "code": None}})


def error_event() -> bytes:
    """Return the event with which a provider aborts a stream."""
    return _event({"error": {"message": "scripted failure in the stream", "type": "server_error", "code": 500}})


def embeddings(body: dict[str, Any], script: Script) -> bytes:
    """Return one embedding per input, as numbers or in base64 as asked; each depends on its input alone."""
    inputs = body.get("input")
    texts = inputs if isinstance(inputs, list) and not all(isinstance(item, int) for item in inputs) else [inputs]
    vectors = [_vector(text) for text in texts]
    packed = body.get("encoding_format") == "base64"
    data = [
        {"object": "embedding", "index": index, "embedding": _base64(vector) if packed else vector}
        for index, vector in enumerate(vectors)
    ]
    fields: dict[str, Any] = {"object": "list", "data": data, "model": body.get("model")}
    if script.usage != "omitted":
        tokens = prompt_tokens(body, script)
        fields["usage"] = {"prompt_tokens": tokens, "total_tokens": tokens}
    return _json(fields)


def models(names: tuple[str, ...]) -> bytes:
    """Return the list of models."""
    data = [{"id": name, "object": "model", "created": CREATED_UNIX_SECONDS, "owned_by": "demo"} for name in names]
    return _json({"object": "list", "data": data})


def prompt_tokens(body: dict[str, Any], script: Script) -> int:
    """Return how many prompt tokens to report: as scripted, else one for each word."""
    if script.prompt_tokens is not None:
        return script.prompt_tokens
    texts: list[object] = []
    for name in ("messages", "input"):
        value = body.get(name)
        texts += value if isinstance(value, list) else [value]
    words = [text.get("content") if isinstance(text, dict) else text for text in texts]
    return sum(len(text.split()) for text in words if isinstance(text, str))


def _event(fields: dict[str, Any]) -> bytes:
    return b"data: " + _json(fields) + b"\n\n"


def _json(fields: dict[str, Any]) -> bytes:
    return msgspec.json.encode(fields)


def _vector(text: object) -> list[float]:
    digest = hashlib.sha256(repr(text).encode()).digest()
    return [digest[index] / 256 for index in range(EMBEDDING_LENGTH)]


def _base64(vector: list[float]) -> str:
    """Pack as the API does: little-endian 32-bit floats."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
