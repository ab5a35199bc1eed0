"""WHOLE ANSWER: a provider's answer that is not streamed, checked just enough to be passed on byte for byte.

Comes in: the body of a 200 answer. Goes out: what accounting needs of it. Raises `UpstreamFailure` where it is not the wire format.
"""

from typing import Any, Final

import msgspec

from app.gateway import provider_json
from app.gateway.json_bounds import check_depth
from app.gateway.request_body import Operation
from app.gateway.token_usage import ReportedUsage, read_usage, text_characters
from app.gateway.upstream_failure import UpstreamFailure, failure_of_error_object

_OK: Final = 200
_READ: Final = ("error", "id", "model", "usage")
_FIELDS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ITEMS: Final = msgspec.json.Decoder(list[msgspec.Raw])


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
        fields = _decode(body, operation)
    except (ValueError, RecursionError):
        raise UpstreamFailure("bad_response", http_status=_OK) from None
    parts = fields.get("choices" if operation == "chat" else "data")
    if not parts and fields.get("error") is not None:
        raise failure_of_error_object(fields["error"], http_status=_OK)
    if not isinstance(parts, list) or not parts:
        raise UpstreamFailure("bad_response", http_status=_OK)
    characters, finish_reason = _read_choices(fields.get("choices"))
    return WholeAnswer(
        usage=read_usage(fields.get("usage")),
        output_characters=characters,
        response_id=_text(fields.get("id")),
        response_model=_text(fields.get("model")),
        finish_reason=finish_reason,
    )


def _decode(body: bytes, operation: Operation) -> dict[str, Any]:
    """Return the fields that are read here; raises ValueError where the body is no JSON object."""
    if not body.isascii():
        # The decoder skips over what it does not read, without a look at the encoding.
        str(body, "utf-8")
    if operation == "embeddings":
        # Long lists of numbers that nobody here reads: they stay undecoded.
        check_depth(body)
        raw = _FIELDS.decode(body)
        items = {"data": _ITEMS.decode(raw["data"])} if "data" in raw else {}
        return items | {name: provider_json.decode(raw[name]) for name in _READ if name in raw}
    fields = provider_json.decode(body)
    if not isinstance(fields, dict):
        raise ValueError("not an object")  # noqa: TRY004  one kind of error for all that is no answer
    return fields


def _read_choices(choices: Any) -> tuple[int, str | None]:
    """Return how many characters the choices hold, and the first reason why one finished."""
    characters = 0
    finish_reason: str | None = None
    for choice in choices if isinstance(choices, list) else ():
        if isinstance(choice, dict):
            characters += text_characters(choice.get("message"))
            finish_reason = finish_reason or _text(choice.get("finish_reason"))
    return characters, finish_reason


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
