"""Whether a refusal names a member of the request: what one caller may not set, another request leaves out.

Input: a provider's reason, and what was sent. Output: true, where the error's `param`, or its words,
name a member that the request has. A refusal of the gateway's key or account names none, whatever
its words are.
"""

import re
from typing import Final

from app.gateway.openai.provider_reason import ProviderReason
from app.gateway.openai.refused_request import is_in_message
from app.gateway.openai.sent_request import SentRequest

_ACCOUNTS: Final = r"account|organi[sz]ation|project|team|subscription|workspace|tenant"
# Also LiteLLM's `auth_error`, `expired_key` and `key_model_access_denied`.
_KEY_CODE: Final = re.compile(
    r"api_?key|expired_key|key_\w*denied|auth_error|authentication|unauthenticated|unauthorized|credential"
    r"|token_not_found|account_\w+|access_terminated|model_?(?:not_?found|permission|terms)"
)
_KEY_PARAM: Final = re.compile(r"(?:incorrect|invalid|missing|expired) api[ _-]?key")
# What a message about the key or the account has, though it may have the name of a member beside it.
_KEY_WORDS: Final = re.compile(
    r"\b(?:api[ _-]?)?keys?\b|\bscopes?\b|credential|authenticat|insufficient permission"
    rf"|\b(?:{_ACCOUNTS})\b[^.]{{0,20}}\b(?:is|was|has|have)(?: been)? (?:\w+ )?"
    r"(?:suspended|terminated|disabled|deactivated|blocked|banned|revoked|flagged|restricted|locked|closed|violated)\b"
)
_INVALID_REQUEST: Final = frozenset({"invalid_request_error", "invalid_request"})
# OpenAI names `stream` where the account may not stream a model: that is of the account.
_STREAMS_MODEL: Final = re.compile(r"\bstream (?:the |this )?model\b")
_ROOT: Final = re.compile(r"[/.$]*(?:body[./])?([\w-]{1,64})")
_OF_TARGETS: Final = frozenset({"model", "key", "api_key", "authorization", "token"})
# Members that a message may name and mean the account, or any request.
_NO_MEMBER: Final = re.compile(
    rf"{_ACCOUNTS}|key|user|token(?!s)|permi|access|allow|auth|credential|secret|denied|country|region|territory|location"
    r"|request|operation|support|available|\A(?:models?|messages?|input|prompt|stream|role|system|text|this|that|with|from|your|have)\Z"
)
_SHORTEST_WORD: Final = 4
_SHORTEST_PHRASE: Final = 8
_WORD: Final = re.compile(r"[a-z0-9_]+")
_BETWEEN: Final = re.compile(r"[\W_]+")
_PHRASE: Final = re.compile(r"[a-z0-9][_-][a-z0-9]|[a-z0-9][A-Z]")
_SUFFIX: Final = "_options"
_SHORTEST_PART: Final = 5
_SENTENCE_END: Final = re.compile(r"[.;!?](?=\s)")
_PART: Final = re.compile(r"[A-Z]?[a-z]+")
# Parts of names that say nothing of a feature, or that a message about any model may have.
_NO_FEATURE: Final = frozenset(
    {"response", "format", "options", "option", "param", "params", "parameter", "parameters", "config", "content", "choice",
     "enable", "enabled", "extra", "headers", "field", "fields", "values", "value", "limit", "limits", "count", "found",
     "exist", "exists", "model", "models", "version", "server", "service", "provider", "engine", "deployment", "endpoint",
     "resource", "route", "invalid", "unknown", "error", "deprecated", "longer", "removed", "retired", "disabled", "please"}
)  # fmt: skip


def is_param_of(reason: ProviderReason, sent: SentRequest | None) -> bool:
    """Whether the error's `param` is a member of the request; the message is in lower case."""
    root = None if reason.param is None else _ROOT.match(reason.param)
    if root is None or sent is None or root[1] in _OF_TARGETS or _is_key_code(reason):
        return False
    message = reason.message or ""
    if _KEY_PARAM.search(message) or (root[1] == "stream" and _STREAMS_MODEL.search(message)):
        return False
    return sent.has_member(root[1])


def names_member(reason: ProviderReason, sent: SentRequest | None, *, is_access: bool) -> bool:
    """Whether the message names a member of the request, in any spelling (`CachedContent`, `cached content`).

    `is_access`: the refusal may be one of the key: then a member that is one word counts only where
    the provider itself calls the request invalid.
    """
    if sent is None or _names_none(reason, sent):
        return False
    message = reason.message or ""
    own, inner = sent.member_names
    if not is_access or _INVALID_REQUEST.intersection(reason.codes):
        words = set(_WORD.findall(message))
        if any(len(name) >= _SHORTEST_WORD and name in words and not _NO_MEMBER.search(name) for name in own):
            return True
    text = _BETWEEN.sub("", message)
    return any(
        len(phrase) >= _SHORTEST_PHRASE and phrase in text
        for name in (*own, *inner)
        if _PHRASE.search(name) and not _NO_MEMBER.search(name.lower())
        for phrase in (_BETWEEN.sub("", name.lower().removesuffix(_SUFFIX)),)
    )


def names_feature(reason: ProviderReason, sent: SentRequest | None, model: str) -> bool:
    """Whether the message has a word of a member's name: `search` of `search_parameters`, where it says that live search has ended.

    Only its first sentence counts, and none that names the target's `model`: behind it stands what replaces a model that is gone.
    """
    sentence = _SENTENCE_END.split(reason.message or "", maxsplit=1)[0]
    if sent is None or (model and model.lower() in sentence) or _names_none(reason, sent):
        return False
    own, inner = sent.member_names
    parts = {part.lower() for name in (*own, *inner) for part in _PART.findall(name)}
    words = parts.intersection(_WORD.findall(sentence)) - _NO_FEATURE
    return any(len(word) >= _SHORTEST_PART and not _NO_MEMBER.search(word) for word in words)


def _names_none(reason: ProviderReason, sent: SentRequest) -> bool:
    """Whether the refusal is about the key or the account, or a page, so that its words name no member."""
    return reason.is_html or _is_key_code(reason) or is_in_message(_KEY_WORDS, reason.message or "", sent)


def _is_key_code(reason: ProviderReason) -> bool:
    """Whether a code is about the key, the account, or the model as such."""
    return any(_KEY_CODE.search(code) for code in reason.codes)
