"""Classifies a provider's refusal by its status and its words.

Input: a status of 400 or more, the reason, and what was sent. Output: an `ErrorKind`. Words of a
message count against the provider only where the caller did not send them, one after another: a
provider quotes what it refuses, and no caller may turn its own words into a fault of the provider.
"""

import re
from http import HTTPStatus
from typing import Final

import msgspec

from app.gateway.openai.exhausted_quota import is_in_quota_words, is_quota_code
from app.gateway.openai.named_member import is_param_of, names_feature, names_member
from app.gateway.openai.provider_reason import ProviderReason
from app.gateway.openai.refused_limit import LIMIT_CODES, LIMITED, is_of_end_user, is_of_size, kind_of_limit
from app.gateway.openai.refused_request import is_about_request, is_in_message
from app.gateway.openai.sent_request import SentRequest
from otel.events import ErrorKind

# What this request needs is missing (RFC 9110, 15.6.2): requests without it are served.
_NOT_IMPLEMENTED: Final = 501
_REFUSALS: Final = frozenset({*range(400, 500), _NOT_IMPLEMENTED})
_SERVER_ERRORS: Final = frozenset(range(500, 600)) - _REFUSALS
# Numbered as the client's fault, but sent by a server that was too slow or not ready.
# 499 is nginx's and Google's for what was cancelled: by the provider, for the gateway reads it.
_TRY_LATER: Final = frozenset({408, 425, 499})
# The model was checked before: what is missing there is the provider's or the configuration's.
# And the method, the headers and the framing are the gateway's own.
_WITHDRAWN: Final = frozenset({404, 405, 406, 410, 411, 415, 431, _NOT_IMPLEMENTED})
_GONE: Final = frozenset({404, 410})
# Another host or protocol than `base_url` has, and Bedrock's status for a model that failed.
_OF_TARGETS: Final[dict[int, ErrorKind]] = {421: "model_unavailable", 424: "upstream_5xx", 426: "model_unavailable"}
# The gateway's key or account: nothing that the caller could change.
_ACCOUNT: Final = frozenset({401, 402, 403, 407})

_POLICY_CODES: Final = frozenset(
    {"content_filter", "content_filtered", "content_policy", "content_policy_violation", "responsibleaipolicyviolation",
     "moderation", "moderation_error", "moderation_blocked", "safety", "prohibited_content", "content_blocked", "input_flagged",
     "guardrail_violation", "guardrail_intervened", "prompt_blocked", "policy_violation", "data_inspection_failed",
     "datainspectionfailed", "cyber_policy", "bio_policy", "misalignment_policy_violation", "content_safety_violation"}
)  # fmt: skip
_SERVER_CODES: Final = frozenset(
    {"server_error", "internal_error", "internal_server_error", "internal", "api_error", "overloaded_error", "overloaded",
     "engine_overloaded", "engine_overloaded_error", "service_unavailable", "service_unavailable_error", "unavailable",
     "bad_gateway", "gateway_timeout", "timeout", "timeout_error", "deadline_exceeded", "upstream_error", "provider_error",
     "internalservererror", "modelerror"}
)  # fmt: skip
_AUTH_CODES: Final = frozenset(
    {"invalid_api_key", "authentication_error", "permission_error", "permission_denied", "unauthenticated", "unauthorized",
     "api_key_invalid", "invalid_authentication", "account_suspended", "access_terminated", "access_terminated_error"}
)  # fmt: skip
_MODEL_CODES: Final = frozenset(
    {"model_not_found", "model_not_available", "model_decommissioned", "model_deprecated", "invalid_model", "not_found_error",
     "deploymentnotfound", "deployment_not_found", "not_found", "notfounderror", "unknown_model", "model_retired",
     "model_not_supported", "unavailable_model", "model_disabled", "modelnotopen", "model.accessdenied", "operationnotsupported",
     "model_terms_required", "1211",
     # Azure's, for a `base_url` without a version that it serves.
     "missingapiversionparameter", "invalidapiversionparameter", "invalidapiversion", "unsupportedapiversion"}
)  # fmt: skip
# Without those that servers have for whatever is not there.
_CODES_OF_MODELS: Final = _MODEL_CODES - {"not_found", "not_found_error", "notfounderror"}
# Groq's, of a model that the account's own settings block: `model_permission_blocked_project`.
_MODEL_CODE: Final = re.compile(r"model_permission")
_CALLER_CODES: Final = frozenset(
    {"invalid_request_error", "invalid_request", "context_length_exceeded", "invalid_prompt", "invalid_argument",
     "badrequesterror", "bad_request", "validation_error", "string_above_max_length", "request_too_large"}
)  # fmt: skip
_BY_CODE: Final[tuple[tuple[frozenset[str], ErrorKind], ...]] = (
    (_POLICY_CODES, "content_policy"),
    (LIMIT_CODES, "rate_limited"),
    (_AUTH_CODES, "upstream_auth"),
    (_MODEL_CODES, "model_unavailable"),
    (_SERVER_CODES, "upstream_5xx"),
    (_CALLER_CODES, "upstream_4xx"),
)

_NOUNS: Final = r"account|organi[sz]ation|(?:api[ _-]?|access )?key|project|team|subscription|workspace|tenant"
_VERDICTS: Final = r"suspended|terminated|disabled|deactivated|blocked|banned|revoked|flagged|restricted|locked|closed"
_ACCOUNT_CODE: Final = re.compile(
    rf"(?:{_NOUNS}|org|resource|consumer)[ _-]?(?:is[ _-]|has[ _-]been[ _-])?(?:{_VERDICTS})"
)
# Any provider has codes of its own for it. A text in a code's place is no code.
_POLICY_CODE: Final = re.compile(
    r"moderation|jailbreak|guardrail|nsfw|unsafe|toxic|csam|harmful|safety|prompt_?injection|sensitive_?content"
    r"|(?:content|responsible_?ai|usage|safety)_?(?:policy|filter|management)|policy_?violation|prohibited_?content"
    r"|(?:prompt|input|output|content)_?(?:was_|is_)?(?:blocked|flagged|rejected_by)",
)
_CODE: Final = re.compile(r"[\w.:/-]{1,80}")

# All words are compared with a message in lower case: to ignore the case in a search takes three times as long.
_POLICY_WORDS: Final = re.compile(
    r"moderat|flagged|content[ _-]?(?:policy|filter|management|safety)|safety (?:system|filter|polic|setting)|guardrail|responsible ai"
    r"|(?:usage|use) polic|violat\w+ (?:\w+ ){0,6}polic|inappropriate|harmful content|triggered the security solution"
    r"|certain word or phrase|content exists risk|usage guidelines|safety[ _]check|safety reasons|content audit|prompt (?:was |is )?blocked"
    r"|new_sensitive|sensitive (?:content|information|words?)|\bnsfw\b|\bunsafe\b|\bcsam\b|child sexual|prohibited[ _]content"
    r"|不安全|敏感|违规",
)
# About the gateway's own account, however much it speaks of policies.
_ACCOUNT_WORDS: Final = re.compile(
    rf"(?:\b(?:your|this) (?:{_NOUNS})|\byour (?:access|resource|ip(?: address)?)|\bapi[ -]?key"
    rf"|(?:\A|(?<=[.:;!] ))(?:the )?(?:{_NOUNS}))\b(?!(?:'s)? polic)[^.]{{0,40}}?"
    rf"(?P<key>\b(?:(?:is|was|has|have|been)\b (?:\w+ ){{0,2}}?)(?:{_VERDICTS}|violated)|\b(?:violates|(?:{_VERDICTS}) by policy)\b"
    r"|\b(?:is|are) not (?:allowed|permitted|authori[sz]ed) to\b|\bdoes not have (?:permission|access)\b)",
)
_LIMIT_WORDS: Final = re.compile(r"rate[ _-]?limit|too many requests|request limit reached")
_KEY_WORDS: Final = re.compile(
    r"(?:incorrect|invalid|missing|expired) api[ _-]?key|api[ _-]?key (?:is )?(?:not valid|invalid|expired|missing|not found)",
)
_MODEL_WORDS: Final = re.compile(
    r"decommissioned|is not a valid model|(?:invalid|unknown|unavailable) model\b|no such model|model not exist|model (?:access denied|disabled)"
    r"|model (?:id|identifier|name) is (?:invalid|not valid)|could not find (?:the |real )?model"
    r"|(?:not allowed to use|not activated) (?:the |publisher )*model"
    # A name may hold a point, unlike the end of a sentence.
    r"|model\b(?:[^.]|\.(?=\S)){0,80}?(?P<key>does not exist|not found|is not available|no longer (?:available|supported)"
    r"|has been (?:retired|deprecated|removed)|reached (?:its|the) end[ -]of[ -]life"
    r"|is not supported (?:by any provider|for this environment|in this region))"
    # What it is asked for is the operation of the operator's route, and where it runs is the provider's.
    r"|operation does not work with the (?:\w+ )?model|invocation of model\b.{0,120}?throughput (?:is not|isn.t) supported"
    r"|does not support (?:the )?(?:chat|completions?|embeddings?|generate)(?: completions?)?(?: api| endpoint| operation)?(?=\W*(?:[.;,]|\Z))"
    r"|degraded function|function cannot be invoked|model\b[^.]{0,80}? is not loaded"
    r"|model:? (?:[`'\"]?[\w./:@-]+[`'\"]? )?(?:is|was) (?:deprecated|retired|removed|disabled)",
)
_ACCESS_WORDS: Final = re.compile(
    r"access to (?:the |this )?model|(?:permission|not (?:allowed|permitted|authori[sz]ed)|must be verified) to"
    r" (?:use|access|stream|invoke|call|sample from) (?:the |this )?model",
)
# A server that was spoken to by the wrong protocol, or under the wrong name: about `base_url`.
_BASE_URL_WORDS: Final = re.compile(
    r"http request (?:was )?(?:sent )?to (?:an |the )?https (?:port|server)|no required ssl certificate|bad request - invalid hostname"
    r"|speaking plain http to an ssl-enabled server port|combination of host and port requires tls"
    r"|\bapi[ -]version (?:is )?not supported|\bonly for api versions\b",
)
# About the account, or the location of the gateway.
_LOCATION_WORDS: Final = re.compile(
    r"(?:\A|\b(?:user|your|client|current) )(?:location|country|region|territory) is not supported"
    r"|not supported in your (?:country|region)",
)


def kind_of_refusal(status: int, reason: ProviderReason, sent: bytes | None, model: str = "") -> ErrorKind:
    """Return what a response of this status is.

    `sent` is the caller's own body, None where it is not known; `model` is the provider's name for
    the model.
    """
    if status in _SERVER_ERRORS or status in _TRY_LATER:
        return "upstream_5xx"
    if status not in _REFUSALS:
        return "bad_response"
    reason = _lower(reason)
    codes = set(reason.codes)
    message = reason.message or ""
    request = None if sent is None else SentRequest(sent)
    kind: ErrorKind = "upstream_auth"
    if is_of_end_user(codes, message, request):
        kind = "upstream_4xx"
    elif is_of_size(status, codes, message):
        kind = "size_refused"
    elif status in LIMITED:
        kind = kind_of_limit(status, codes, reason, sent)
    elif status in _WITHDRAWN:
        kind = _of_withdrawn(status, reason, request, model)
    elif is_quota_code(codes, is_limit=False) or (
        not _is_flagged(status, codes, message, request) and is_in_quota_words(message, request)
    ):
        kind = "upstream_quota"
    elif status == HTTPStatus.FORBIDDEN or status not in _ACCOUNT:
        kind = _of_request(status, codes, reason, request, model)
    return kind


def kind_of_error(reason: ProviderReason) -> ErrorKind:
    """Return what an error inside a 200 response is, by its codes: statuses as numbers or text, and the usual words."""
    for code in reason.codes:
        if code.isascii() and code.isdigit() and (status := int(code[:4])) in range(400, 600):
            return kind_of_refusal(status, reason, None)
        if is_quota_code((code,), is_limit=True):
            return "upstream_quota"
        for codes, kind in _BY_CODE:
            if code in codes:
                return kind
    # A number that only this provider knows. Its words may quote the caller's: they take faults from the provider alone.
    message = (reason.message or "").lower()
    if _is_policy(set(reason.codes), message):
        return "content_policy"
    return "rate_limited" if _LIMIT_WORDS.search(message) else "bad_response"


def _lower(reason: ProviderReason) -> ProviderReason:
    """Return the reason with its message in lower case, as its codes are."""
    return reason if reason.message is None else msgspec.structs.replace(reason, message=reason.message.lower())


def _is_policy(codes: set[str], message: str) -> bool:
    """Whether the provider refuses what the prompt is about."""
    return _is_policy_code(codes) or _POLICY_WORDS.search(message) is not None


def _is_policy_code(codes: set[str]) -> bool:
    """Whether a code says that the provider refuses what the prompt is about."""
    return bool(codes & _POLICY_CODES) or any(
        _CODE.fullmatch(code) and _POLICY_CODE.search(code) and not _ACCOUNT_CODE.search(code) for code in codes
    )


def _is_flagged(status: int, codes: set[str], message: str, sent: SentRequest | None) -> bool:
    """Whether a code says so, whatever the words: a router also writes what a refused prompt costs."""
    return (
        (status == HTTPStatus.FORBIDDEN or status not in _ACCOUNT)
        and _is_policy_code(codes)
        and not _is_of_account(codes, message, sent)
    )


def _is_of_account(codes: set[str], message: str, sent: SentRequest | None) -> bool:
    """Whether the provider has closed or restricted the gateway's own account."""
    return _is_account_code(codes) or is_in_message(_ACCOUNT_WORDS, message, sent)


def _is_account_code(codes: set[str]) -> bool:
    return any(_CODE.fullmatch(code) and _ACCOUNT_CODE.search(code) for code in codes)


def _of_request(
    status: int, codes: set[str], reason: ProviderReason, sent: SentRequest | None, model: str
) -> ErrorKind:
    """Classify a 403 or a status for requests: the prompt, the gateway's key, a model that is gone, or the caller's mistake."""
    message = reason.message or ""
    if _is_policy(codes, message) and not _is_of_account(codes, message, sent):
        return "content_policy"
    if status == HTTPStatus.FORBIDDEN:
        return _of_access(codes, reason, sent, model)
    of_gateway = (_KEY_WORDS, _LOCATION_WORDS)
    if (
        codes & _AUTH_CODES
        or _is_account_code(codes)
        or any(is_in_message(words, message, sent) for words in of_gateway)
    ):
        return "upstream_auth"
    is_of_model = (
        codes & (_MODEL_CODES - {"not_found", "not_found_error"})
        or _is_model_code(codes)
        or _is_of_target(reason, sent)
    )
    if is_of_model or status in _OF_TARGETS:
        is_own = _is_own(reason, sent, model)
        return "upstream_4xx" if is_own else _OF_TARGETS.get(status, "model_unavailable")
    return "upstream_auth" if is_in_message(_ACCOUNT_WORDS, message, sent) else "upstream_4xx"


def _of_withdrawn(status: int, reason: ProviderReason, sent: SentRequest | None, model: str) -> ErrorKind:
    """Classify a status of the target: it may be about what this request holds, and a 404, 410 or 501 about a member of it."""
    if status in _GONE:
        is_of_model = _CODES_OF_MODELS.intersection(reason.codes) or _is_of_target(reason, sent)
        is_of_member = not is_of_model and names_feature(reason, sent, model)
    else:
        is_of_member = status == _NOT_IMPLEMENTED and names_member(reason, sent, is_access=False)
    return "upstream_4xx" if is_of_member or _is_own(reason, sent, model) else "model_unavailable"


def _of_access(codes: set[str], reason: ProviderReason, sent: SentRequest | None, model: str) -> ErrorKind:
    """Classify a 403: the request names something it may not use, the account may not use the model, or the key is refused."""
    if _is_own(reason, sent, model) or names_member(reason, sent, is_access=True):
        return "upstream_4xx"
    is_of_model = codes & _MODEL_CODES or _is_model_code(codes) or _is_of_target(reason, sent)
    return "model_unavailable" if is_of_model else "upstream_auth"


def _is_model_code(codes: set[str]) -> bool:
    return any(_MODEL_CODE.match(code) for code in codes)


def _is_own(reason: ProviderReason, sent: SentRequest | None, model: str) -> bool:
    """Whether the refusal is about what this request holds, or names one of its members as its `param`."""
    return is_about_request(reason, sent, model) or is_param_of(reason, sent)


def _is_of_target(reason: ProviderReason, sent: SentRequest | None) -> bool:
    """Whether the words are about the model that the operator names, what it can do, or the `base_url`."""
    message = reason.message or ""
    return any(is_in_message(words, message, sent) for words in (_MODEL_WORDS, _ACCESS_WORDS, _BASE_URL_WORDS))
