"""REQUEST BODY: the caller's JSON as the gateway understands it, and the same JSON as the provider gets it.

Comes in: bytes. Goes out: a `CallRequest` whose fields are still the caller's own bytes, so that tools and fields that the gateway does
not know reach the provider untouched. Only what is read here is validated; no message quotes what the caller sent.
"""

from typing import Final, Literal, TypeAlias, TypeVar

import msgspec

from app.errors import InvalidRequestError

Operation: TypeAlias = Literal["chat", "embeddings"]
T = TypeVar("T")

MAX_MODEL_CHARACTERS: Final = 512


class _AnyObject(msgspec.Struct):
    """A JSON object whose fields do not matter here."""


_FIELDS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_STRING: Final = msgspec.json.Decoder(str)
_FLAG: Final = msgspec.json.Decoder(bool | None)
_MESSAGES: Final = msgspec.json.Decoder(list[_AnyObject])
_OPTIONAL_FIELDS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw] | None)
_TRUE: Final = msgspec.Raw(b"true")
_EMPTY_INPUTS: Final = (b'""', b"[]", b"null")


class CallRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One valid request. `body` and `fields` are what the caller sent; `include_usage`: it asked for usage in the stream."""

    operation: Operation
    model: str
    stream: bool
    include_usage: bool
    body: bytes
    fields: dict[str, msgspec.Raw]
    stream_options: dict[str, msgspec.Raw] | None = None

    def upstream_body(self, upstream_model: str) -> bytes:
        """Return the body for a provider: its own model name, and usage asked for in streams."""
        fields = dict(self.fields)
        fields["model"] = msgspec.Raw(msgspec.json.encode(upstream_model))
        if self.stream:
            options = {**(self.stream_options or {}), "include_usage": _TRUE}
            fields["stream_options"] = msgspec.Raw(msgspec.json.encode(options))
        return msgspec.json.encode(fields)

    def number(self, name: str) -> object:
        """Return a scalar field as a Python value; None where it is absent, and the caller's bytes where it is no JSON scalar."""
        raw = self.fields.get(name)
        if raw is None:
            return None
        try:
            value: object = msgspec.json.decode(raw, type=float | bool | None)
        except ValueError:
            return bytes(raw)
        return value


def parse_chat(body: bytes) -> CallRequest:
    """Read the body of a chat completion; raises `InvalidRequestError`."""
    fields = _decode_fields(body)
    model = _model(fields)
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
        fields=fields,
        stream_options=options,
    )


def parse_embeddings(body: bytes) -> CallRequest:
    """Read the body of an embeddings request; raises `InvalidRequestError`."""
    fields = _decode_fields(body)
    model = _model(fields)
    if "input" not in fields:
        raise InvalidRequestError("'input' is required: a string or a list.", param="input")
    text = bytes(fields["input"])
    if text[:1] not in {b'"', b"["} or b"".join(text.split()) in _EMPTY_INPUTS:
        raise InvalidRequestError("'input' must be a non-empty string or list.", param="input")
    return CallRequest(operation="embeddings", model=model, stream=False, include_usage=False, body=body, fields=fields)


def _decode_fields(body: bytes) -> dict[str, msgspec.Raw]:
    """Split the body into its top-level fields."""
    try:
        if not body.isascii():
            # The decoder skips over what it does not read, without a look at the encoding.
            str(body, "utf-8")
        return _FIELDS.decode(body)
    except msgspec.ValidationError:
        raise InvalidRequestError("The request body must be a JSON object.") from None
    except UnicodeDecodeError:
        raise InvalidRequestError("The request body is not valid UTF-8.") from None
    except (ValueError, RecursionError):
        raise InvalidRequestError("The request body is not valid JSON.") from None


def _model(fields: dict[str, msgspec.Raw]) -> str:
    """Return the model's name."""
    if "model" not in fields:
        raise InvalidRequestError("'model' is required.", param="model")
    model = _read(_STRING, fields["model"], "model", "a string")
    if not model or len(model) > MAX_MODEL_CHARACTERS:
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
