"""REDACTION: takes secrets out of text before it leaves the process, in log lines and span attributes alike.

Comes in: any text. Goes out: the same text with API keys, bearer tokens and credentials in URLs replaced by `[redacted]`.
The Collector redacts a second time; prompt and completion text is never handed to telemetry in the first place.
"""

import re
from typing import Final

REDACTED: Final = "[redacted]"

_SECRETS: Final = re.compile(
    r"""
    (?P<scheme>\b(?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{6,}                     # Authorization values
    | \b(?:(?:sk|pk|rk|gwz|xai|gsk|hf|ghp)[-_]|AIza)[A-Za-z0-9_-]{12,}           # API keys by their usual prefixes
    | \beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*                 # JSON web tokens
    | (?P<field>["']?(?:api[-_]?key|authorization|password|secret|access[-_]?token|x-api-key)["']?\s*[:=]\s*["']?)
      (?:(?:bearer|basic)\s+)?[^\s"',;&}]{4,}                                   # key=value, headers, JSON members
    | (?P<userinfo>://[^\s/:@]*:)[^\s/@]+(?=@)                                  # passwords in URLs
    """,
    re.VERBOSE | re.IGNORECASE,
)


def redact(text: str) -> str:
    """Return `text` without the secrets it carries."""
    return _SECRETS.sub(_replacement, text)


def _replacement(match: re.Match[str]) -> str:
    """Keep what introduces a secret, so that the line stays readable."""
    return (match["scheme"] or match["field"] or match["userinfo"] or "") + REDACTED
