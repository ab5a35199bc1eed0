"""Classifies a provider's limits: of requests per time, of the size of one, of a service tier, of the account's quota.

Input: a status, codes and a message in lower case, and what was sent. Output: an `ErrorKind`, or
whether a smaller request is served.
"""

import re
from http import HTTPStatus
from typing import Final

from app.gateway.openai.exhausted_quota import is_quota_code
from app.gateway.openai.provider_reason import ProviderReason
from app.gateway.openai.sent_request import SentRequest
from otel.events import ErrorKind

LIMIT_CODES: Final = frozenset(
    {"429", "rate_limit_exceeded", "rate_limit_error", "rate_limited", "rate_limit", "too_many_requests", "throttling",
     "throttlingexception", "throttling_error", "resource_exhausted", "ratelimitexceeded"}
)  # fmt: skip
# About the size of a request: a smaller one is served.
_SIZE_WORDS: Final = re.compile(
    r"request too large|must be reduced|reduce (?:your|the) (?:message|prompt|input|context)|fewer max_tokens|can only afford",
)
_SIZE_STATUSES: Final = frozenset({int(HTTPStatus.TOO_MANY_REQUESTS), int(HTTPStatus.PAYMENT_REQUIRED)})
# Of Groq and GitHub Models, whose limits of tokens another provider of the model need not have.
_SIZE_CODES: Final = LIMIT_CODES | {"tokens_limit_reached"}
# LiteLLM's, of the key, a team, or the `user` of a request.
_BUDGET_CODES: Final = frozenset({"budget_exceeded"})
_END_USER: Final = "end user"
# About the capacity for a service tier, of a request that names one: a request of the usual tier is served.
_TIER_WORDS: Final = re.compile(
    r"resource_unavailable|\b(?:flex|service[ _]tier)\b[^.]{0,80}(?:unavailable|not available|capacity|resources)"
    r"|(?:unavailable|capacity|resources)\b[^.]{0,80}\b(?:flex|service[ _]tier)\b",
)
_OWN_TIER: Final = b'"service_tier"'
# 498 is Groq's status for the same.
_TIER_STATUS: Final = 498
LIMITED: Final = frozenset({int(HTTPStatus.TOO_MANY_REQUESTS), _TIER_STATUS})


def is_of_end_user(codes: set[str], message: str, sent: SentRequest | None) -> bool:
    """Whether the budget of the end user whom the request names is spent, and not that of the gateway's key."""
    return bool(codes & _BUDGET_CODES) and _END_USER in message and sent is not None and sent.has_member("user")


def is_of_size(status: int, codes: set[str], message: str) -> bool:
    """Whether a smaller request is served: by the words of a limit or a price, or by a limit's code of a 413."""
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return bool(codes & _SIZE_CODES)
    return status in _SIZE_STATUSES and _SIZE_WORDS.search(message) is not None


def kind_of_limit(status: int, codes: set[str], reason: ProviderReason, sent: bytes | None) -> ErrorKind:
    """Classify a limit: of the account's quota, of the service tier that the request names, or of the model."""
    if is_quota_code(codes, is_limit=True):
        return "upstream_quota"
    is_of_tier = (
        sent is not None
        and _OWN_TIER in sent
        and any(_TIER_WORDS.search(words) for words in (reason.message or "", *codes))
    )
    return "tier_unavailable" if is_of_tier or status == _TIER_STATUS else "rate_limited"
