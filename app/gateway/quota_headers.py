"""Reads from a response's rate-limit headers what is left of the quota of the gateway's account at the provider.

Sources: the API references of OpenAI (`x-ratelimit-*`, also Azure, Groq, Cerebras with a unit of time, OpenRouter
without a kind) and Anthropic (`anthropic-ratelimit-*`), and draft-ietf-httpapi-ratelimit-headers (`RateLimit` with
`RateLimit-Policy`, in older drafts `RateLimit-Remaining` with `RateLimit-Limit`). Values that make no sense are ignored.
"""

import re
from collections.abc import Mapping
from typing import Final, Literal, NamedTuple, TypeAlias

from multidict import istr

QuotaKind: TypeAlias = Literal["requests", "tokens", "input_tokens", "output_tokens"]


class Quota(NamedTuple):
    """What is left of a quota, and its size; None where the size is not known."""

    remaining: int
    limit: int | None


Quotas: TypeAlias = Mapping[QuotaKind, Quota]


def _pair(kind: QuotaKind, remaining: str, limit: str) -> tuple[QuotaKind, istr, istr]:
    # `istr` is looked up without folding its case again.
    return kind, istr(remaining), istr(limit)


_PAIRS: Final = (
    _pair("requests", "x-ratelimit-remaining-requests", "x-ratelimit-limit-requests"),
    _pair("tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-limit-tokens"),
    _pair("requests", "anthropic-ratelimit-requests-remaining", "anthropic-ratelimit-requests-limit"),
    _pair("tokens", "anthropic-ratelimit-tokens-remaining", "anthropic-ratelimit-tokens-limit"),
    _pair("input_tokens", "anthropic-ratelimit-input-tokens-remaining", "anthropic-ratelimit-input-tokens-limit"),
    _pair("output_tokens", "anthropic-ratelimit-output-tokens-remaining", "anthropic-ratelimit-output-tokens-limit"),
    _pair("requests", "x-ratelimit-remaining-requests-day", "x-ratelimit-limit-requests-day"),
    _pair("tokens", "x-ratelimit-remaining-tokens-minute", "x-ratelimit-limit-tokens-minute"),
    _pair("requests", "x-ratelimit-remaining", "x-ratelimit-limit"),
    _pair("requests", "ratelimit-remaining", "ratelimit-limit"),
)
"""Of each kind the first pair counts that a response has."""

_STRUCTURED: Final = istr("ratelimit")
_POLICY: Final = istr("ratelimit-policy")
_NAMES: Final = (*(remaining for _, remaining, _ in _PAIRS), _STRUCTURED)
_MAX_FIELD_CHARS: Final = 1_000
_MAX_DIGITS: Final = 15
# An older draft lists policies after the limit: "100, 100;w=60". Some providers write "99.0".
_COUNT: Final = re.compile(r"\s*(\d{1,15})(?:\.0+)?\s*(?:[,;].*)?", re.ASCII | re.DOTALL)
_ITEM: Final = re.compile(r'"([^"]{1,64})"((?:\s*;[^;,"]*(?:"[^"]*")?)*)')
_PARAMETER: Final = re.compile(r';\s*([a-z]+)=(?:"([^"]*)"|(\d{1,15})(?![\d.]))')
_DRAFT_07: Final = re.compile(r"limit=(\d{1,15}),\s*remaining=(\d{1,15})\b", re.ASCII)


def read_quotas(headers: Mapping[str, str]) -> Quotas:
    """Return what is left, by kind; empty for a response without such headers. `headers` ignores case."""
    found: dict[QuotaKind, Quota] = {}
    if not any(map(headers.__contains__, _NAMES)):
        return found
    for kind, remaining_name, limit_name in _PAIRS:
        if remaining_name in headers and kind not in found:
            remaining = _count(headers[remaining_name])
            if remaining is not None:
                found[kind] = _quota(remaining, _count(headers.get(limit_name, "")))
    if _STRUCTURED in headers:
        for kind, quota in _structured(headers).items():
            found.setdefault(kind, quota)
    return found


def _structured(headers: Mapping[str, str]) -> dict[QuotaKind, Quota]:
    """Read `RateLimit`; of several policies of a kind the one counts that has the least left."""
    text = headers[_STRUCTURED][:_MAX_FIELD_CHARS]
    older = _DRAFT_07.match(text)
    if older is not None:
        return {"requests": _quota(int(older[2]), int(older[1]))}
    policies = dict(_items(headers.get(_POLICY, "")[:_MAX_FIELD_CHARS]))
    found: dict[QuotaKind, Quota] = {}
    for name, parameters in _items(text):
        policy = policies.get(name, {})
        unit = policy.get("qu", "requests")
        kind: QuotaKind | None = "requests" if unit == "requests" else "tokens" if unit == "tokens" else None
        remaining = _count(parameters.get("r", ""))
        if kind is None or remaining is None or (kind in found and found[kind].remaining <= remaining):
            continue
        found[kind] = _quota(remaining, _count(policy.get("q", "")))
    return found


def _items(field: str) -> list[tuple[str, dict[str, str]]]:
    """Return the items of a list (RFC 9651) with their parameters."""
    return [
        (name, {key: text or number for key, text, number in _PARAMETER.findall(parameters)})
        for name, parameters in _ITEM.findall(field)
    ]


def _count(text: str) -> int | None:
    """Return a count; None for what is none: text, a fraction, less than 0, more than 15 digits."""
    if len(text) <= _MAX_DIGITS and text.isascii() and text.isdigit():
        return int(text)
    match = _COUNT.fullmatch(text[:_MAX_FIELD_CHARS])
    return None if match is None else int(match[1])


def _quota(remaining: int, limit: int | None) -> Quota:
    """Return a quota; a size that is less than what is left is none."""
    return Quota(remaining, None if limit is None or limit < remaining else limit)
