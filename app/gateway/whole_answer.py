"""WHOLE ANSWER: a provider's answer that is not streamed, checked just enough to be passed on byte for byte.

Comes in: the body of a 200 answer. Goes out: what accounting needs of it. Raises `UpstreamFailure` where it is not the wire format.
"""

from typing import Any, Final

import msgspec

from app.gateway.request_body import Operation
from app.gateway.token_usage import ReportedUsage, read_usage, text_characters
from app.gateway.upstream_failure import UpstreamFailure, failure_of_error_object

_OK: Final = 200
_FIELDS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


class WholeAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What an answer says beside its content."""

    usage: ReportedUsage | None
    output_characters: int
    response_id: str | None
    response_model: str | None
    finish_reason: str | None


def read_answer(body: bytes, operation: Operation) -> WholeAnswer:
    """Check an answer and read it."""
    try:
        if not body.isascii():
            # The decoder skips over what it does not read, without a look at the encoding.
            str(body, "utf-8")
        fields = _FIELDS.decode(body)
    except (ValueError, RecursionError):
        raise UpstreamFailure("bad_response", http_status=_OK) from None
    parts = fields.get("choices" if operation == "chat" else "data")
    if parts is None and "error" in fields:
        raise failure_of_error_object(_lenient(fields, "error"), http_status=_OK)
    if parts is None or bytes(parts)[:1] != b"[" or b"".join(bytes(parts)[:64].split()) == b"[]":
        raise UpstreamFailure("bad_response", http_status=_OK)
    # Embeddings are long lists of numbers that nobody here reads: they stay undecoded.
    choices = _lenient(fields, "choices") if operation == "chat" else None
    characters, finish_reason = _read_choices(choices)
    return WholeAnswer(
        usage=read_usage(_lenient(fields, "usage")),
        output_characters=characters,
        response_id=_text(_lenient(fields, "id")),
        response_model=_text(_lenient(fields, "model")),
        finish_reason=finish_reason,
    )


def _read_choices(choices: Any) -> tuple[int, str | None]:
    """Return how many characters the choices hold, and the first reason why one finished."""
    characters = 0
    finish_reason: str | None = None
    for choice in choices if isinstance(choices, list) else ():
        if isinstance(choice, dict):
            characters += text_characters(choice.get("message"))
            finish_reason = finish_reason or _text(choice.get("finish_reason"))
    return characters, finish_reason


def _lenient(fields: dict[str, msgspec.Raw], name: str) -> Any:
    """Decode one field; None where it is absent or holds what the decoder refuses (a lone surrogate, a huge number)."""
    raw = fields.get(name)
    if raw is None:
        return None
    try:
        return msgspec.json.decode(raw)
    except (ValueError, RecursionError):
        return None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
