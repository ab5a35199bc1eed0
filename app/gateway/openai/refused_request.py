"""Whether a refusal is about what one request holds, so that another request would be served.

Input: a provider's message, and what was sent. Output: true, where the message quotes something of
the caller's, or speaks of a thing that only a request can name. No caller may make a model
unavailable to others by naming a file, an image, a tool or a provider that does not exist.
"""

import re
from typing import Final

from app.gateway.openai.provider_reason import ProviderReason
from app.gateway.openai.sent_request import SentRequest

_MOST_NAMES: Final = 20
_SHORTEST_NAME: Final = 4
_QUOTED: Final = re.compile(r"[`'\"“]([^`'\"“”]{2,120})[`'\"”]")
_NAME: Final = re.compile(r"[A-Za-z0-9][\w.:/@-]*\w")
_NAMES_NOTHING_COMMON: Final = re.compile(r"[\d_/@-]")
# Each request has these as a value, or a provider names the member of the request by them.
_OF_THE_FORMAT: Final = frozenset(
    {
        "model",
        "messages",
        "role",
        "user",
        "system",
        "assistant",
        "developer",
        "tool",
        "function",
        "text",
        "input",
        "chat",
        # What the gateway's own headers have.
        "accept",
        "content-type",
        "content-length",
        "content-encoding",
        "transfer-encoding",
        "application/json",
        "text/event-stream",
    }
)
# About a request with a feature that no provider of the model serves, or with a thing that is gone: another request is served.
# The names of models may end in such a word, and who runs a model may have to download it.
_OF_REQUESTS: Final = re.compile(
    r"endpoints? found (?:that|which|matching)|support (?:image|tool|audio|file|the requested)"
    r"|\b(?:download|fetch)\w* (?!(?:(?:the|this|a|your) )?(?:model|weights|it)\b|[`'\"]?\0)"
    r"|(?<![\w./-])(?:file (?:with|id)\b|(?:image|tool|tool call)s? (?:with|id|url|not|does))"
    r"|previous response|response with id|conversation|vector store|mcp server"
)
_OWN_MODEL: Final = "\0"
# Codes that say it of the model, whatever the words.
_OF_MODELS: Final = re.compile(
    r"(?:model|deployment)_?(?:not_?(?:found|available|exist)|decommissioned|deprecated|retired|disabled)|unknown_?model"
    r"|model_(?:permission|terms)"
)
# The settings of the gateway's own account, unless the request has some itself.
_OF_ACCOUNTS: Final = re.compile(r"data policy|no allowed providers|providers have been ignored")
_OWN_ROUTING: Final = "provider"
# Where a provider begins to quote: what follows a colon, an equals sign, or a quotation mark or bracket that opens.
_BEGINS_QUOTE: Final = re.compile(r"[:=]|(?<![\w`'\"”\u2019)\]}])[`'\"“\u2018(\[{<](?=\S)")


def is_about_request(reason: ProviderReason, sent: SentRequest | None, model: str) -> bool:
    """Whether the refusal is about something in this request; the message is in lower case, `model` is the provider's name for the model."""
    message = reason.message or ""
    if not message or reason.is_html or sent is None:
        return False
    if _OF_ACCOUNTS.search(message):
        return sent.has_member(_OWN_ROUTING)
    is_of_model = False
    if model:
        own = re.compile(rf"(?<![\w-]){re.escape(model.lower())}(?![\w-])")
        message, found = own.subn(_OWN_MODEL, message)
        is_of_model = found > 0
    if not any(_OF_MODELS.search(code) for code in reason.codes) and _OF_REQUESTS.search(message):
        return True
    names = [] if is_of_model else _names(message, model)
    return bool(names) and (sent.is_too_large or any(sent.names(name) for name in names))


def is_in_message(words: re.Pattern[str], message: str, sent: SentRequest | None) -> bool:
    """Whether a message in lower case holds the words, and does not quote them from what the caller sent.

    It quotes them where the caller sent all that matched, in a row: one word of it is in any prompt.
    A group `key` is the part that counts, with all between a quotation's beginning and it.
    """
    if sent is None:
        return False
    matched = dict.fromkeys(_matched(match) for match in words.finditer(message))
    return not all(sent.has_in_a_row(text) for text in matched)


def _matched(match: re.Match[str]) -> str:
    """Return what a pattern matched, up to its key: all of it, or of a quotation inside it what is quoted."""
    begin, end = match.span()
    if match.groupdict().get("key") is not None:
        end = match.end("key")
        for quote in _BEGINS_QUOTE.finditer(match.string, begin, match.start("key") + 1):
            begin = quote.end()
    return match.string[begin:end]


def _names(message: str, model: str) -> list[str]:
    """Return what the message quotes, and what looks like an identifier, but for the model's own name and words of the format."""
    own = model.lower()
    found = _QUOTED.findall(message)
    found += [
        name for name in _NAME.findall(message) if len(name) >= _SHORTEST_NAME and _NAMES_NOTHING_COMMON.search(name)
    ]
    names = [name for name in dict.fromkeys(name.lower() for name in found) if name not in _OF_THE_FORMAT]
    return [name for name in names if not own or (name not in own and own not in name)][:_MOST_NAMES]
