"""Tame inputs whose hostile part is the provider's response: usage, ids, names, framing, event streams, statuses, scripts that fail."""

import base64
import gzip
import json
import random
from collections.abc import Callable
from typing import Any, Final

from tests.fuzz.canaries import ANSWER, MODEL, PROMPT, PROVIDER_SAYS, STEM
from tests.fuzz.environment import LIAR, ODD_NAME, SILENT
from tests.fuzz.hostile_values import NO_JSON, NUMBERS, STRUCTURES, TEXTS, Material, mutate
from tests.fuzz.inputs import Input
from tests.fuzz.lying_upstream import FIELD, chat_response, embeddings_response, event_stream, stream_chunks, whole
from tests.fuzz.request_inputs import (
    CHAT,
    EMBEDDINGS,
    RequestInputs,
    chat_fields,
    embeddings_fields,
    json_object,
)

_PROSE: Final = f"the prompt of a caller was {PROVIDER_SAYS} and so on"
_SAYS: Final = (
    _PROSE, _PROSE.replace(" ", "\n"), f'{_PROSE}",provider="x', _PROSE.replace(" ", "\u2028"), "\ud800", "a" * 600, "b" * 100_000, "\x00", "",
    "stop\n", "é" * 200, "\u202e", "chatcmpl-2", "length",
)  # fmt: skip
_USAGE_NAMES: Final = ("prompt_tokens", "completion_tokens", "input_tokens", "output_tokens", "total_tokens")
_STATUSES: Final = (
    b"200 OK", b"200", b"201 Created", b"204 No Content", b"206 Partial", b"299 x", b"301 Moved", b"304 Not Modified", b"307 Temporary",
    b"400 Bad", b"401 No", b"402 Pay", b"403 No", b"404 No", b"405 No", b"407 Proxy", b"408 Late", b"409 Conflict", b"413 Big", b"418 Tea",
    b"422 Odd", b"425 Early", b"429 Slow", b"431 Big", b"499 Left", b"500 Oops", b"501 No", b"502 Bad", b"503 Busy", b"504 Late", b"511 x",
    b"599 x", b"600 x", b"999 x", b"000 x", b"-1 x", b"99999 x", b"abc x", b"100 Continue",
)  # fmt: skip
_RETRY_AFTER: Final = (
    "1", "0", "-1", "nan", "inf", "-inf", "1e309", "1e-9", "", "soon", "Wed, 21 Oct 2015 07:28:00 GMT", "Wed, 21 Oct 9999 07:28:00 GMT",
    "Wed, 21 Oct 0001 07:28:00 GMT", "Wed, 99 Oct 2015 99:99:99 GMT", "0x10", "9" * 400, "1_0", "\u0663", "Thu, 01 Jan 1970 00:00:00 -9999",
)  # fmt: skip
_BAD_WIRES: Final = (
    b"", b"\r\n", b"HTTP/1.1", b"HTTP/1.1 200 OK\r\n", b"HTTP/9.9 200 OK\r\ncontent-length: 2\r\n\r\n{}", b"\x16\x03\x01\x02\x00", b"<html>",
    b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n{}", b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n{}",
    b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\n{}", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\n", b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 2_000,
    b"HTTP/1.1 200 OK\r\nx: " + b"y" * 70_000 + b"\r\n\r\n", b"HTTP/1.1 200 OK\r\nbroken header\r\n\r\n{}", b"HTTP/1.1 200 OK\nfoo: \x00\n\n{}",
    b"HTTP/1.1 100 Continue\r\n\r\n" * 20, b"HTTP/1.1 101 Switching\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
)  # fmt: skip
_SCRIPTS: Final = (
    '{"fault":"close_before_head"}', '{"fault":"close_after_head"}', '{"fault":"bad_json"}', '{"fault":"wrong_content_type"}',
    '{"status":500}', '{"status":429,"retry_after":"nan"}', '{"status":429,"retry_after":"9999999999"}', '{"status":404}',
    '{"usage":"unusable"}', '{"usage":"other_names"}', '{"usage":"omitted"}', '{"completion_tokens":100000,"words":3}', '{"words":0}',
    '{"pause_after_chunks":1,"after_pause":"break"}', '{"pause_after_chunks":0,"after_pause":"break"}',
    '{"pause_after_chunks":1,"after_pause":"error_event"}', '{"pause_after_chunks":0,"after_pause":"error_event"}',
    '{"chunks":1000,"words":999}',
)  # fmt: skip
_STALL: Final = '{"fault":"stall"}'


class LieInputs:
    """Makes requests that bring their responses along."""

    def __init__(self, rng: random.Random, material: Material, requests: RequestInputs) -> None:
        self._rng = rng
        self._material = material
        self._requests = requests
        self._makers: list[tuple[Callable[[], Input], int]] = [
            (self.whole_response, 30), (self.stream, 34), (self.framing, 18), (self.embeddings, 8), (self.script, 10),
        ]  # fmt: skip

    def one(self) -> Input:
        """Return the next input."""
        makers, weights = zip(*self._makers, strict=True)
        maker: Callable[[], Input] = self._rng.choices(makers, weights)[0]
        return maker()

    def whole_response(self) -> Input:
        """A whole response with lies in its JSON."""
        body = self._lie_in(chat_response(), in_choice="message")
        if self._rng.random() < 0.15:
            body = self._mutated(body)
        return self._told("whole lie", whole(body, status=self._status()), stream=False)

    def embeddings(self) -> Input:
        """A list of embeddings with lies in its JSON."""
        rng = self._rng
        body = self._lie_in(embeddings_response(), in_choice=None)
        fields = [*embeddings_fields(), (FIELD, _lie(whole(self._mutated(body) if rng.random() < 0.3 else body)))]
        return self._requests.post("embeddings lie", EMBEDDINGS, json_object(fields))

    def stream(self) -> Input:
        """An event stream with lies in its chunks, in its framing, or in its order."""
        rng = self._rng
        chunks = stream_chunks()
        events = [b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks] + [b"data: [DONE]\n\n"]
        for _ in range(rng.randint(1, 3)):
            index = rng.randrange(len(events))
            match rng.randrange(8):
                case 0 | 1:
                    chunk = chunks[min(index, len(chunks) - 1)]
                    events[index] = b"data: " + self._lie_in(chunk, in_choice="delta") + b"\n\n"
                case 2:
                    events[index] = self._mutated(events[index])
                case 3:
                    del events[index]
                    events = events or [b": nothing\n\n"]
                case 4:
                    events.insert(index, rng.choice((
                        b": comment\n\n", b"event: error\n\n", b"\n\n", b"data:\n\n", b"data: \n\n", b"data: null\n\n", b"data: [DONE]\n\n",
                        b"id: 1\nevent: x\ndata: {}\n\n", b"retry: 0\n\n", b'data: {"error":{"message":"x","code":429}}\n\n',
                        b'data: {"error":"x"}\n\n', b'data: {"error":{"code":1e400}}\n\n', b"\xef\xbb\xbf", b"\xff\xfe\n\n", b"data: [[[[\n\n",
                        b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"error"}],"error":{"message":"x"}}\n\n',
                        b'data: {"choices":[{"index":1,"delta":{"content":"x"},"error":{"message":"x"}}]}\n\n',
                        b'data: {"choices":[{"index":0,"delta":{"error":"x"}}]}\n\n', b'data: {"choices":null,"usage":{"total_tokens":9}}\n\n',
                        b'data: {"choices":[{"index":0,"usage":{"prompt_tokens":-1}}]}\n\n', b'data: {"x_groq":{"usage":[]}}\n\n',
                        b"event: error\ndata: oops\n\n", b"event: ping\ndata: 1\n\n", b'data: {"type":"error","message":"x"}\n\n',
                        b"data: " + b"[" * 5_000 + b"\n\n", b": " + b"x" * 70_000 + b"\n\n", b'data: {"choices":[]}\n\n',
                    )))  # fmt: skip
                case 5:
                    events[index] = events[index].replace(b"\n", rng.choice((b"\r\n", b"\r")))
                case 6:
                    events[index] = events[index].replace(b"data: {", b"data: {\ndata: ", 1)
                case _:
                    rng.shuffle(events)
        if rng.random() < 0.3:
            joined = b"".join(events)
            cuts = sorted(rng.randrange(len(joined) + 1) for _ in range(6))
            events = [joined[start:end] for start, end in zip([0, *cuts], [*cuts, len(joined)], strict=True)]
        wire = event_stream(events)
        if rng.random() < 0.15:
            wire = wire[: rng.randrange(len(wire))]
            return self._told("stream lie", wire, stream=True, then="close")
        return self._told("stream lie", wire, stream=rng.random() < 0.95)

    def framing(self) -> Input:
        """A response that is odd or broken as HTTP."""
        rng = self._rng
        body = json.dumps(chat_response()).encode()
        match rng.randrange(7):
            case 0:
                wire = whole(body, status=rng.choice(_STATUSES))
            case 1:
                retry_after = b"retry-after: " + rng.choice(_RETRY_AFTER).encode() + b"\r\n"
                wire = whole(self._error(), status=rng.choice((b"429 Slow", b"503 Busy")), extra=retry_after)
            case 2:
                wire = whole(self._error(), status=rng.choice(_STATUSES))
            case 3:
                wire = rng.choice(_BAD_WIRES)
            case 4:
                wire = self._mutated(whole(body))
            case 5:
                wire = whole(
                    gzip.compress(body, mtime=0),
                    extra=b"content-encoding: " + rng.choice((b"gzip", b"br", b"x", b"deflate")) + b"\r\n",
                )
            case _:
                wire = whole(
                    body,
                    content_type=rng.choice(
                        (b"text/html", b"", b"text/event-stream", b"application/json; charset=utf-16")
                    ),
                )
        # A response that is not whole on a connection that stays open costs the gateway's idle timeout.
        then = "keep" if rng.random() < 0.03 else "close"
        return self._told("framing lie", wire, stream=rng.random() < 0.3, then=then)

    def script(self) -> Input:
        """A request to the scripted upstream, which fails as told."""
        rng = self._rng
        script = _STALL if rng.random() < 0.02 else rng.choice(_SCRIPTS)
        if rng.random() < 0.1:
            script = mutate(rng, script.encode(), most=2).decode("utf-8", "replace").replace("stall", "")
        model = rng.choice(("fuzz/stalling", SILENT)) if script == _STALL else "fuzz/scripted"
        told = "{" + ",".join(f'"{persona}":{script}' for persona in ("flaky", "stalling")) + "}"
        fields = [*chat_fields(rng, model), ("max_tokens", "3"), ("x_script", told)]
        return self._requests.post("script", CHAT, json_object(fields))

    def _told(self, kind: str, wire: bytes, *, stream: bool, then: str = "keep") -> Input:
        rng = self._rng
        fields = chat_fields(rng, rng.choice((LIAR, LIAR, ODD_NAME, "fuzz/liar-first", "fuzz/cached")))
        fields = [field for field in fields if not field[0].startswith("stream")] + [("stream", json.dumps(stream))]
        if stream and rng.random() < 0.5:
            fields.append(("stream_options", '{"include_usage":true}'))
        return self._requests.post(kind, CHAT, json_object([*fields, (FIELD, _lie(wire, then))]))

    def _lie_in(self, response: dict[str, Any], *, in_choice: str | None) -> bytes:
        """Write the response with one to three of its parts replaced."""
        rng = self._rng
        fields = {name: json.dumps(value) for name, value in response.items()}
        for _ in range(rng.randint(1, 3)):
            match rng.randrange(6):
                case 0 | 1:
                    usage = {name: self._amount() for name in rng.sample(_USAGE_NAMES, rng.randint(1, 4))}
                    fields["usage"] = "{" + ",".join(f'"{name}":{value}' for name, value in usage.items()) + "}"
                case 2:
                    fields[rng.choice(("id", "model"))] = json.dumps(rng.choice(_SAYS))
                case 3 if in_choice is not None:
                    choice = {"index": "0", in_choice: self._content(), "finish_reason": json.dumps(rng.choice(_SAYS))}
                    choice[rng.choice(list(choice))] = self._material.value(rng)
                    one = "{" + ",".join(f'"{name}":{value}' for name, value in choice.items()) + "}"
                    fields["choices"] = f"[{','.join([one] * rng.choice((1, 1, 2, 50)))}]"
                case 4:
                    name, value = rng.choice((*fields, "error", "choices", "usage")), self._material.value(rng)
                    # The first words of a provider's error are logged.
                    fields[name] = value.replace(STEM, "word") if name == "error" else value
                case _:
                    fields.pop(rng.choice((*fields, "")), None)
        return _as_prose("{" + ",".join(f'"{name}":{value}' for name, value in fields.items()) + "}")

    def _mutated(self, response: bytes) -> bytes:
        """Change some bytes; without canaries, for what is left of prose may look like an id."""
        return mutate(self._rng, response.replace(STEM.encode(), b"word"))

    def _content(self) -> str:
        return json.dumps({"role": "assistant", "content": self._rng.choice((ANSWER, *TEXTS))})

    def _amount(self) -> str:
        draw = self._rng.random()
        if draw < 0.7:
            return self._rng.choice(NUMBERS)
        return (
            self._rng.choice((*STRUCTURES, '"12"', '"many"', *NO_JSON))
            if draw < 0.8
            else str(self._rng.randrange(1_000))
        )

    def _error(self) -> bytes:
        """Return an error object, without canaries: the first words of a provider's error are logged."""
        inner = (
            self._material.value(self._rng)
            if self._rng.random() < 0.5
            else json.dumps({"message": "a provider's own words", "code": 429})
        )
        return f'{{"error":{inner}}}'.replace(STEM, "word").encode("utf-8", "surrogatepass")

    def _status(self) -> bytes:
        return b"200 OK" if self._rng.random() < 0.9 else self._rng.choice(_STATUSES)


def _lie(wire: bytes, then: str = "keep") -> str:
    return json.dumps({"wire": base64.b64encode(wire).decode(), "then": then})


def _as_prose(response: str) -> bytes:
    """Encode a response. A lone word cannot be told from an id that a provider gave: canaries stand in prose."""
    for word in (PROMPT, MODEL):
        response = response.replace(f'"{word}"', f'"the prompt of a caller was {word} and so on"')
    return response.encode("utf-8", "surrogatepass")
