"""Whether a refusal is about what one request holds, so that another request would be served.

Input: a provider's message, and what was sent. Output: true, where the message quotes something of
the caller's, or speaks of a thing that only a request can name. No caller may make a model
unavailable to others by naming a file, an image, a tool or a provider that does not exist.
"""

import json
import re
from typing import Final

from app.gateway.openai.provider_reason import ProviderReason

_MOST_SEARCHED_BYTES: Final = 256 * 1024
_MOST_NAMES: Final = 20
_SHORTEST_NAME: Final = 4
_WORD: Final = re.compile(r"[a-z]+")
_QUOTED: Final = re.compile(r"[`'\"“]([^`'\"“”]{2,120})[`'\"”]")
_NAME: Final = re.compile(r"[A-Za-z0-9][\w.:/@-]*\w")
_NAMES_NOTHING_COMMON: Final = re.compile(r"[\d_/@-]")
_OWN_MODEL: Final = re.compile(rb'"model"\s*:\s*"(?:[^"\\]|\\.){0,500}"')
# About a request with a feature that no provider of the model serves, or with a thing that is gone: another request is served.
_OF_REQUESTS: Final = re.compile(
    r"endpoints? found (?:that|which|matching)|support (?:image|tool|audio|file|the requested)|no allowed providers"
    r"|providers have been ignored|\b(?:download|fetch)\w* |\bfile (?:with|id)\b|\b(?:image|tool|tool call)s? (?:with|id|url|not|does)"
    r"|previous response|response with id|conversation|vector store"
)
# The privacy settings of the gateway's own account, unless the request has some itself.
_OF_ACCOUNTS: Final = re.compile(r"data policy")
_OWN_ROUTING: Final = b'"provider"'


def is_about_request(reason: ProviderReason, sent: bytes | None, model: str) -> bool:
    """Whether the refusal is about something in this request; the message is in lower case, `model` is the provider's name for the model."""
    message = reason.message or ""
    if not message or reason.is_html or sent is None:
        return False
    if _OF_ACCOUNTS.search(message):
        return _OWN_ROUTING in sent
    if _OF_REQUESTS.search(message):
        return True
    names = _names(message, model)
    if not names or (model and re.search(rf"(?<![\w-]){re.escape(model)}(?![\w-])", message, re.IGNORECASE)):
        return False
    text = _plain(sent)
    if text is None:
        return True
    text = _OWN_MODEL.sub(b"", text, count=1).lower()
    return any(name.encode() in text for name in names)


def is_in_message(words: re.Pattern[str], message: str, sent: bytes | None) -> bool:
    """Whether a message in lower case holds the words, and does not quote them from what the caller sent."""
    match = words.search(message)
    if match is None or sent is None:
        return False
    quoted = _plain(sent) if b"\\u" in sent else sent
    if quoted is None:
        return False
    quoted = quoted.lower()
    # Word by word: spaces may have changed on the way.
    return not all(
        word.encode() in quoted for word in _WORD.findall((match.groupdict().get("key") or match[0]).lower())
    )


def _names(message: str, model: str) -> list[str]:
    """Return what the message quotes, and what looks like an identifier, but for the model's own name."""
    own = model.lower()
    found = _QUOTED.findall(message)
    found += [
        name for name in _NAME.findall(message) if len(name) >= _SHORTEST_NAME and _NAMES_NOTHING_COMMON.search(name)
    ]
    names = dict.fromkeys(name.lower() for name in found)
    return [name for name in names if not own or (name not in own and own not in name)][:_MOST_NAMES]


def _plain(sent: bytes) -> bytes | None:
    """Return the body without escapes; None where it is too large to be searched."""
    if len(sent) > _MOST_SEARCHED_BYTES:
        return None
    if b"\\u" not in sent:
        return sent
    try:
        return json.dumps(json.loads(sent), ensure_ascii=False).encode("utf-8", "replace")
    except (ValueError, RecursionError):
        return None
