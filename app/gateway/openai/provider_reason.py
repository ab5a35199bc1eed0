"""Reads a provider's reason for a refusal from any of the usual envelopes.

Input: the body of an error response. Output: the reason as text, the codes beside it, and the body
in OpenAI's shape for the caller. Text is bounded, and `Scrub` takes the gateway's own secrets and
addresses out of it.
"""

import contextlib
import html
import ipaddress
import json
import math
import re
import sys
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from app.gateway.openai.error_envelope import (
    MAX_REASON_CHARACTERS,
    bounded,
    envelope_codes,
    envelope_words,
    words_by_field,
)
from app.gateway.openai.sse import SseSplitter
from otel.redaction import REDACTED, forms_of, redact

MAX_DEPTH: Final = 20

_MARKUP: Final = re.compile(
    r"\s*<(?:!--|(?:!doctype|html|head|body|\?xml|h1|title|center)\b|[a-z][\w:]{0,40}[\s>].*>\s*\Z)",
    re.IGNORECASE | re.DOTALL,
)
_TITLE: Final = re.compile(r"<(title|h1)\b[^>]*>(.{0,2000}?)</\1", re.IGNORECASE | re.DOTALL)
_XML_TEXT: Final = re.compile(r"<(?:\w{1,40}:)?(message|faultstring)\b[^<>]*>([^<]{1,2000})<", re.IGNORECASE)
_TAG: Final = re.compile(r"<[^>]*>")
_FIREWALL: Final = re.compile(r"triggered the security solution|certain word or phrase", re.IGNORECASE)
"""What Cloudflare's page says of a request that its rules refuse for what is in it; its title does not."""
_WRONG_ADDRESS: Final = re.compile(
    r"speaking plain HTTP to an SSL-enabled server port|Bad Request - Invalid Hostname", re.IGNORECASE
)
"""What the pages of Apache and IIS say of a wrong `base_url`; their titles are those of any bad request."""
_JSON: Final = re.compile(r"""[{]|\[\s*["'{\[]|["'][^"'\s]{1,60}["']\s*:\s*["'{\[\d]""")
"""Where a document begins inside a text, whole or cut."""
_CHARSET: Final = re.compile(r"""charset\s*=\s*["']?([\w-]{1,40})""", re.IGNORECASE)
_CHARSETS: Final = re.compile(
    r"iso-?8859-\d{1,2}|latin-?1|windows-\d{3,4}|cp\d{3,4}|gb(?:k|2312|18030)|big5|shift_jis|euc-(?:jp|kr)|koi8-[ru]",
    re.IGNORECASE,
)
"""What a provider may name instead of UTF-8; not every codec of Python is one of text, or fast."""
_EVENT_LINE: Final = re.compile(r"^(?:data|event|id|retry)?:.*$", re.MULTILINE)
_ADDRESS: Final = re.compile(
    r"""(?:\b[a-z][a-z0-9+.-]{1,9}://)?
        (?P<host>(?<![\w.-])\[?[0-9a-f]{0,4}:[0-9a-f:.]{0,39}[0-9a-f:]\]?      # IPv6
        |(?<![\w.-])\d{1,3}(?:\.\d{1,3}){3}(?!\.?\w)                 # IPv4, at the end of a sentence, too
        |(?<![\w.-])(?:[a-z0-9_-]{1,63}\.){1,8}(?:internal|local|localdomain|lan|corp|intranet|svc|home\.arpa)\b
        |(?<=://)[a-z0-9_-]{1,63}(?!\.?[\w-])                        # a name that only its own network resolves
        |(?<![\w.-])localhost\b)
        (?::\d{1,5})?(?:/[^\s"'<>)\]]*)?""",
    re.VERBOSE | re.IGNORECASE,
)
_HIDDEN: Final = "[address]"
_LEAST_CUT_CHARS: Final = 6
"""A shorter beginning of a secret tells nothing, and occurs in ordinary words."""
_PRIVATE_SEGMENTS: Final = 3
"""A shorter path of a base URL is the same for all customers of a provider (`/v1`, `/openai/v1`)."""


class ProviderReason(msgspec.Struct, frozen=True, kw_only=True):
    """`message` is for people, `codes` are for the classification (lower case), `error` is the error object where the body is OpenAI's.

    `param` is the member of the request that the provider names, as it wrote it.
    """

    message: str | None = None
    codes: tuple[str, ...] = ()
    error: dict[str, Any] | None = None
    is_html: bool = False
    param: str | None = None


class Scrub:
    """Takes a provider's secrets and addresses out of what it wrote. `secrets`, `hosts` and `path` are the gateway's own for this provider."""

    def __init__(self, secrets: Iterable[str] = (), hosts: Iterable[str] = (), path: str = "") -> None:
        self._path = path if path.count("/") >= _PRIVATE_SEGMENTS else ""
        self._forms = forms_of(filter(None, secrets))
        names = "|".join(re.escape(host) for host in sorted(hosts) if host)
        self._own = (
            re.compile(
                rf"(?:\b[a-z]{{2,9}}://)?(?<![\w.-])(?:{names})(?![\w-])(?::\d+)?(?:/[^\s\"'<>)\]]*)?", re.IGNORECASE
            )
            if names
            else None
        )

    def text(self, text: str) -> str:
        """Return the text without them."""
        for form in self._forms:
            text = text.replace(form, REDACTED)
        text = self._without_cut_secret(self._without_broken_secrets(text))
        if self._own is not None:
            text = self._own.sub(_HIDDEN, text)
        if self._path:
            text = text.replace(self._path, _HIDDEN)
        return _ADDRESS.sub(_hide_internal, redact(text))

    def _without_broken_secrets(self, text: str) -> str:
        """Return the text without secrets that are broken over lines: a text on one line has blanks there."""
        together = "".join(text.split())
        for form in self._forms:
            # Searched first: a pattern with blanks everywhere takes long.
            if form in together:
                text = re.sub(r"\s*".join(map(re.escape, form)), REDACTED, text)
        return text

    def _without_cut_secret(self, text: str) -> str:
        """Return the text without the beginning of a secret at its end, where a bound or the provider cut it."""
        for form in self._forms:
            for length in range(min(len(form), len(text)), _LEAST_CUT_CHARS - 1, -1):
                if text.endswith(form[:length]):
                    return text[:-length] + REDACTED
        return text

    def value(self, value: Any, depth: int = 0) -> Any:
        """Return a JSON value without them; what is nested deeper than any error object is left out."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict | list) and depth >= MAX_DEPTH:
            return None
        if isinstance(value, dict):
            return {self.text(str(key)): self.value(item, depth + 1) for key, item in value.items()}
        if isinstance(value, list):
            return [self.value(item, depth + 1) for item in value]
        # JSON has no NaN and no infinities.
        return None if isinstance(value, float) and not math.isfinite(value) else value


def read_reason(body: bytes, content_type: str | None = None) -> ProviderReason:
    """Read an error body: an object or list in one of the usual envelopes, a page, or plain text.

    It is UTF-8, or else in the charset that `content_type` names.
    """
    text = _decoded(body, content_type).lstrip("\ufeff")
    if _EVENT_LINE.match(text) is not None:
        # An error in the form of the requested stream.
        splitter = SseSplitter(sys.maxsize)
        events = [*splitter.feed(text.encode()), *splitter.close()]
        text = b"\n".join(event.data for event in events if event.data is not None).decode("utf-8", "replace")
    try:
        decoded = json.loads(text)
    except (ValueError, RecursionError):
        return _of_first_document(text) or _of_text(text)
    if isinstance(decoded, list):
        decoded = next((item for item in decoded if isinstance(item, dict)), None)
    return reason_of(decoded)


def reason_of(envelope: object) -> ProviderReason:
    """Read a decoded error envelope, or an error object by itself."""
    if isinstance(envelope, str):
        return ProviderReason(message=bounded(envelope))
    if not isinstance(envelope, dict):
        return ProviderReason()
    inner = envelope.get("error") or envelope.get("Error")
    errors = envelope.get("errors")
    if not inner and isinstance(errors, list | dict | str):
        inner = errors[0] if isinstance(errors, list) and errors else errors
    error = inner if isinstance(inner, dict) else None
    codes = [*envelope_codes(error), *envelope_codes(envelope)]
    if isinstance(inner, str):
        codes.append(inner.lower())
    message = envelope_words(error) or envelope_words(envelope)
    if message is None and isinstance(errors, dict) and error is errors:
        message = words_by_field(errors)
    quoted = _quoted(message, error)
    if quoted is not None:
        message = quoted
        error = None if error is None else {**error, "message": message}
    param = (envelope if error is None else error).get("param")
    return ProviderReason(
        message=message,
        codes=tuple(dict.fromkeys(codes)),
        error=error,
        param=param if isinstance(param, str) else None,
    )


def words_of(message: str) -> str | None:
    """Return what of a provider's text may be logged: its words, but of a document inside it only the error that it names.

    A document that is not an error may be a part of a response, or quote a prompt.
    """
    begin = _JSON.search(message)
    if begin is None:
        return message
    words = message[: begin.start()].rstrip()
    try:
        inner, _ = json.JSONDecoder().raw_decode(message, begin.start())
    except (ValueError, RecursionError):
        inner = None
    inner_words = reason_of(inner).message if isinstance(inner, dict) else None
    if inner_words is not None and _JSON.search(inner_words) is None:
        words = f"{words} {inner_words}".strip()
    return words or None


def error_json(
    reason: ProviderReason, *, default_message: str, default_type: str, default_code: str, scrub: Scrub
) -> bytes:
    """Return the reason in OpenAI's shape; fields of an OpenAI error object that it has beside the usual ones stay."""
    error = dict(reason.error or {})
    message = error.get("message") if isinstance(error.get("message"), str) else None
    error["message"] = (message or reason.message or default_message)[:MAX_REASON_CHARACTERS]
    if not isinstance(error.get("type"), str):
        error["type"] = default_type
    error.setdefault("param", None)
    if reason.error is None:
        error["code"] = default_code
    else:
        error.setdefault("code", default_code)
    return json.dumps({"error": scrub.value(error)}, separators=(",", ":")).encode()


def _decoded(body: bytes, content_type: str | None) -> str:
    """Return a body as text; what is in no known charset is replaced."""
    charset = None if content_type is None else _CHARSET.search(content_type)
    if charset is not None and _CHARSETS.fullmatch(charset[1]):
        try:
            return body.decode()
        except UnicodeDecodeError:
            pass
        with contextlib.suppress(LookupError):
            return body.decode(charset[1], "replace")
    return body.decode("utf-8", "replace")


def _of_first_document(text: str) -> ProviderReason | None:
    """Read the document that a text begins with (lines of JSON, an end marker behind it); None where it is no error."""
    try:
        decoded, _ = json.JSONDecoder().raw_decode(text.lstrip())
    except (ValueError, RecursionError):
        return None
    reason = reason_of(decoded) if isinstance(decoded, dict) else ProviderReason()
    return reason if reason.message else None


def _of_text(text: str) -> ProviderReason:
    """Read what is not JSON: of a page its title, of XML its message, else the text itself."""
    if not _MARKUP.match(text):
        return ProviderReason(message=bounded(text))
    found = _TITLE.search(text) or _XML_TEXT.search(text)
    message = None if found is None else bounded(html.unescape(_TAG.sub(" ", found[2])))
    if (explained := _WRONG_ADDRESS.search(text)) is not None:
        message = explained[0]
    codes = ("content_blocked",) if _FIREWALL.search(text) else ()
    return ProviderReason(message=message, codes=codes, is_html=True)


def _quoted(message: str | None, error: dict[str, Any] | None) -> str | None:
    """Return a better reason than the message: that of the document which it quotes, or of the provider behind a router; None without one."""
    if message is not None and message.startswith("{"):
        quoted = _of_first_document(message)
        return None if quoted is None else quoted.message
    metadata = None if error is None else error.get("metadata")
    raw = metadata.get("raw") if isinstance(metadata, dict) else None
    if not isinstance(raw, str) or not raw or _MARKUP.match(raw):
        return None
    quoted = _of_first_document(raw)
    words = bounded(raw) if quoted is None else quoted.message
    return (
        None if not words or (message and words in message) else bounded(f"{message or ''}: {words}".removeprefix(": "))
    )


def _hide_internal(match: re.Match[str]) -> str:
    """Hide an address that is not public."""
    host = match["host"].strip("[]")
    try:
        is_public = ipaddress.ip_address(host).is_global
    except ValueError:
        is_public = ":" in host or ("." in host and not host[-1:].isalpha())
    return match[0] if is_public else _HIDDEN
