"""Finds the reason and the codes in a decoded error document, whichever envelope it is.

Input: JSON values. Output: one line of text, and codes in lower case. Names of fields are compared
without case and underscores. Only members that hold errors are followed, in bounded numbers and
levels: other members may be a part of a response, or quote a prompt.
"""

from collections.abc import Mapping
from typing import Any, Final

MAX_REASON_CHARACTERS: Final = 1_000

_CODES: Final = ("code", "type", "status", "reason", "errortype", "errorcode", "errcode", "statuscode")
_TEXTS: Final = (
    "message", "msg", "detail", "details", "errordescription", "errormessage", "errormsg", "errmsg", "statusmsg", "statusmessage",
    "faultstring", "description", "baseresp", "reason", "title", "error", "err", "exception",
)  # fmt: skip
_HOLDERS: Final = (
    "errors", "issues", "fault", "response", "responsemetadata", "header", "data", "status", "nonfielderrors",
)  # fmt: skip
"""What may hold a reason in a list or an object, and is none itself."""
_CODE_HOLDERS: Final = ("innererror", "fault", "baseresp", "header")
"""What has codes itself."""
_ERROR_HOLDERS: Final = ("response", "responsemetadata", "header", "data", "fault")
"""What may have an error with codes."""
_MOST_FIELDS: Final = 50
_MOST_ITEMS: Final = 5
_MOST_LEVELS: Final = 5


def envelope_words(value: object, levels: int = _MOST_LEVELS) -> str | None:
    """Return the first text that is not blank, nearer ones before deeper ones of a name that is less usual; None where there is none."""
    if isinstance(value, str):
        return bounded(value)
    if levels == 0:
        return None
    if isinstance(value, list):
        return bounded("; ".join(words for item in value[:_MOST_ITEMS] if (words := envelope_words(item, levels - 1))))
    if not isinstance(value, dict):
        return None
    fields = _fields(value)
    words = next((words for name in _TEXTS if (words := envelope_words(fields.get(name), levels - 1))), None)
    if words is None:
        held = (fields[name] for name in _HOLDERS if isinstance(fields.get(name), list | dict))
        words = next((words for each in held if (words := envelope_words(each, levels - 1))), None)
    location = fields.get("loc")
    if words is not None and isinstance(location, list):
        # FastAPI's, with the place in the request.
        return bounded(f"{'.'.join(str(part) for part in location[:8])}: {words}")
    return words


def words_by_field(errors: Mapping[str, Any]) -> str | None:
    """Return the first text of errors by the field of the request that they are about: `{"n": ["too large"]}`."""
    for name, value in list(errors.items())[:_MOST_FIELDS]:
        first = value[0] if isinstance(value, list) and value else value
        if isinstance(first, str) and first.strip():
            return bounded(f"{name}: {first}")
    return None


def envelope_codes(value: object) -> list[str]:
    """Return the codes of one object, and of the errors that it holds."""
    if not isinstance(value, dict):
        return []
    fields = _fields(value)
    codes = _codes(fields)
    for name in _CODE_HOLDERS:
        inner = fields.get(name)
        if isinstance(inner, dict):
            codes += _codes(_fields(inner))
    for name in _ERROR_HOLDERS:
        inner = fields.get(name)
        error = _fields(inner).get("error") if isinstance(inner, dict) else None
        if isinstance(error, dict):
            codes += _codes(_fields(error))
    metadata = fields.get("metadata")
    if isinstance(metadata, dict) and "flagged_input" in metadata:
        # OpenRouter's, whatever the message says.
        codes.append("moderation")
    return [code for code in codes if code]


def bounded(text: str) -> str | None:
    """Return the text on one line, within bounds; None where nothing is left."""
    text = " ".join("".join(char if char.isprintable() else " " for char in text[: 4 * MAX_REASON_CHARACTERS]).split())
    return text[:MAX_REASON_CHARACTERS] or None


def _fields(value: dict[str, Any]) -> dict[str, Any]:
    """Return an object's first fields by their plain names; of two with the same, the first that is filled."""
    fields: dict[str, Any] = {}
    for name, item in list(value.items())[:_MOST_FIELDS]:
        plain = name.lower().replace("_", "")
        fields[plain] = fields.get(plain) or item
    return fields


def _codes(fields: Mapping[str, Any]) -> list[str]:
    return [_code(fields.get(name)) for name in _CODES]


def _code(value: object) -> str:
    """Return a code as text, without the namespace that AWS writes before it; empty where it is none."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    return str(value).lower().rpartition("#")[2]
