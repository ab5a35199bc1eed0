"""The caller's JSON as the gateway understands it, and the same JSON as the provider gets it.

Input: bytes. Output: a `CallRequest` whose fields are still the caller's own bytes, so that
tools and fields that the gateway does not know reach the provider untouched. Only what is read here
is validated; no message quotes what the caller sent.
"""

import re
from typing import Final, Literal, TypeAlias, TypeVar

import msgspec

from app.errors import InvalidRequestError, UnreadableBodyError
from app.gateway.json_bounds import MAX_DEPTH, NestedTooDeeplyError, check_depth, check_utf8
from app.gateway.openai import lone_surrogates

Operation: TypeAlias = Literal["chat", "embeddings"]
T = TypeVar("T")

MAX_MODEL_CHARACTERS: Final = 512
MAX_FIELDS: Final = 1_000
"""Of a request's top level; the API knows some 40."""

_OWN_FIELDS: Final = frozenset(
    {
        "model",
        "messages",
        "input",
        "stream",
        "stream_options",
        "n",
        "max_tokens",
        "max_completion_tokens",
        "service_tier",
    }
)
"""What the gateway reads. Many providers match names without case: there another spelling would be a second value that passes unchecked."""


class _AnyObject(msgspec.Struct, frozen=True):
    """A JSON object whose fields do not matter here."""


_FIELDS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_STRING: Final = msgspec.json.Decoder(str)
_FLAG: Final = msgspec.json.Decoder(bool | None)
# All of these objects are equal: however many messages there are, one is kept.
_MESSAGES: Final = msgspec.json.Decoder(frozenset[_AnyObject])
_OPTIONAL_FIELDS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw] | None)
_TRUE: Final = msgspec.Raw(b"true")
_EMPTY_INPUT: Final = re.compile(rb'""|\[[ \t\r\n]*\]')
_LONG_FIELD_BYTES: Final = 1_024
_MAX_SCALAR_BYTES: Final = 64
_REASON: Final = re.compile(r"(?:JSON is malformed: )?([A-Za-z ,'-]{1,80} \(byte \d+\))")


class CallRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One valid request. `body` and `fields` are what the caller sent; `include_usage`: it requested usage in the stream.

    `estimated_input_tokens`: what was counted when a large body was read, so that the event loop does not read it again.
    """

    operation: Operation
    model: str
    stream: bool
    include_usage: bool
    body: bytes
    fields: dict[str, msgspec.Raw]
    stream_options: dict[str, msgspec.Raw] | None = None
    estimated_input_tokens: int | None = None

    def upstream_body(self, upstream_model: str, *, takes_stream_options: bool = True) -> bytes:
        """Return the body for a provider: its own model name, and in streams a request for usage where the provider accepts that."""
        return msgspec.json.encode(self._upstream_fields(upstream_model, takes_stream_options))

    def upstream_parts(self, upstream_model: str, *, takes_stream_options: bool = True) -> list[bytes | memoryview]:
        """Return the same body in parts that are no copy of the caller's: for one that is large."""
        parts: list[bytes | memoryview] = []
        for name, raw in self._upstream_fields(upstream_model, takes_stream_options).items():
            parts += (b"," if parts else b"{", msgspec.json.encode(name), b":", memoryview(raw))
        parts.append(b"}")
        return parts

    def _upstream_fields(self, upstream_model: str, takes_stream_options: bool) -> dict[str, msgspec.Raw]:
        fields = dict(self.fields)
        fields["model"] = msgspec.Raw(msgspec.json.encode(upstream_model))
        if not takes_stream_options:
            fields.pop("stream_options", None)
        elif self.stream:
            options = {**(self.stream_options or {}), "include_usage": _TRUE}
            fields["stream_options"] = msgspec.Raw(msgspec.json.encode(options))
        return fields

    def number(self, name: str) -> object:
        """Return a scalar field as a Python value; None where it is absent, and the caller's bytes where it is not a JSON scalar."""
        raw = self.fields.get(name)
        if raw is None:
            return None
        if memoryview(raw).nbytes > _MAX_SCALAR_BYTES:
            return bytes(raw)
        try:
            value: object = msgspec.json.decode(raw, type=float | bool | None)
        except ValueError:
            return bytes(raw)
        return value


def parse_chat(body: bytes) -> CallRequest:
    """Read the body of a chat completion; raises `InvalidRequestError`."""
    fields, mark = _decode_fields(body)
    model = _model(fields, mark)
    messages = fields.get("messages")
    if messages is None:
        raise InvalidRequestError("'messages' is required: a list of at least one message.", param="messages")
    if not _read(_MESSAGES, messages, "messages", "a list of message objects"):
        raise InvalidRequestError("'messages' must not be empty.", param="messages")
    stream = _flag(fields, "stream")
    options = None
    include_usage = False
    if stream and "stream_options" in fields:
        options = _read(_OPTIONAL_FIELDS, fields["stream_options"], "stream_options", "an object or null")
        include_usage = _flag(options or {}, "include_usage", prefix="stream_options.")
    return CallRequest(
        operation="chat",
        model=model,
        stream=stream,
        include_usage=include_usage,
        body=body,
        fields=_unmasked(fields, mark, body),
        stream_options=None if options is None else _unmasked(options, mark, body),
    )


def parse_embeddings(body: bytes) -> CallRequest:
    """Read the body of an embeddings request; raises `InvalidRequestError`."""
    fields, mark = _decode_fields(body)
    model = _model(fields, mark)
    if "input" not in fields:
        raise InvalidRequestError("'input' is required: a string or a list.", param="input")
    text = memoryview(fields["input"])
    if bytes(text[:1]) not in {b'"', b"["} or _EMPTY_INPUT.fullmatch(text):
        raise InvalidRequestError("'input' must be a non-empty string or list.", param="input")
    return CallRequest(
        operation="embeddings",
        model=model,
        stream=False,
        include_usage=False,
        body=body,
        fields=_unmasked(fields, mark, body),
    )


def _decode_fields(body: bytes) -> tuple[dict[str, msgspec.Raw], bytes | None]:
    """Split the body into its top-level fields; the mark of lone surrogates comes with them where they are masked."""
    try:
        if not body.isascii():
            # The decoder skips over what it does not read, without a look at the encoding.
            check_utf8(body)
        fields, mark = _split(body)
        check_depth(body)
    except msgspec.ValidationError:
        raise UnreadableBodyError("The request body must be a JSON object.") from None
    except UnicodeDecodeError as error:
        raise UnreadableBodyError(f"The request body is not valid UTF-8 (byte {error.start}).") from None
    except (RecursionError, NestedTooDeeplyError):
        raise InvalidRequestError(f"The request body is nested more than {MAX_DEPTH} levels deep.") from None
    except ValueError as error:
        raise UnreadableBodyError(f"The request body is not valid JSON{_reason(error)}.") from None
    if len(fields) > MAX_FIELDS:
        raise InvalidRequestError(f"The request body has more than {MAX_FIELDS} fields.")
    for name in fields:
        if name not in _OWN_FIELDS and name.casefold() in _OWN_FIELDS:
            own = name.casefold()
            raise InvalidRequestError(f"'{own}' must be written in lower case.", param=own)
    return fields, mark


def _split(body: bytes) -> tuple[dict[str, msgspec.Raw], bytes | None]:
    """Split the body, also one whose strings hold lone surrogates, which the decoder does not take."""
    try:
        return _FIELDS.decode(body), None
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:
        masked = lone_surrogates.mask(body)
        if masked is None:
            raise
        text, mark = masked
        fields = _FIELDS.decode(text)
    if any(mark.decode() in name for name in fields):
        raise InvalidRequestError("The name of a field of the request body holds a lone surrogate, which is no text.")
    return fields, mark


def _unmasked(fields: dict[str, msgspec.Raw], mark: bytes | None, body: bytes) -> dict[str, msgspec.Raw]:
    """Return the fields with the caller's own bytes; a long one is a view of the body, no copy."""
    if mark is None:
        return fields
    unmasked = {}
    for name, raw in fields.items():
        value = lone_surrogates.unmask(bytes(raw), mark)
        start = body.find(value) if len(value) > _LONG_FIELD_BYTES else -1
        # If the same bytes are there twice, either will do.
        unmasked[name] = msgspec.Raw(value if start < 0 else memoryview(body)[start : start + len(value)])
    return unmasked


def _reason(error: ValueError) -> str:
    """Return the decoder's reason, in words that are the decoder's alone, and the position."""
    text = str(error)
    found = _REASON.fullmatch(text)
    if found is not None:
        return f": {found[1]}"
    return ": it ends too early" if "truncated" in text else ""


def _model(fields: dict[str, msgspec.Raw], mark: bytes | None) -> str:
    """Return the model's name."""
    if "model" not in fields:
        raise InvalidRequestError("'model' is required.", param="model")
    model = _read(_STRING, fields["model"], "model", "a string")
    if not model or len(model) > MAX_MODEL_CHARACTERS or (mark is not None and mark.decode() in model):
        raise InvalidRequestError("'model' must be the name of a model.", param="model")
    return model


def _flag(fields: dict[str, msgspec.Raw], name: str, *, prefix: str = "") -> bool:
    """Return a boolean field; absent and null are false."""
    if name not in fields:
        return False
    return bool(_read(_FLAG, fields[name], prefix + name, "true, false or null"))


def _read(decoder: msgspec.json.Decoder[T], raw: msgspec.Raw, param: str, expected: str) -> T:
    """Decode one field; the error names it and what it must be."""
    try:
        return decoder.decode(raw)
    except (ValueError, RecursionError):
        raise InvalidRequestError(f"'{param}' must be {expected}.", param=param) from None
