r"""Redaction: replaces secrets in log lines and spans before they leave the process.

Values are redacted before they are encoded, so an encoded line stays valid. The rules also work on
encoded text, which the Collector redacts a second time with the same patterns: no match begins or
ends inside an escape, and none crosses a quote that is not escaped. Prompts and completions are
never passed to telemetry in the first place.
"""

import json
import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import quote

REDACTED: Final = "[redacted]"

_ANY_CASE: Final = "(?i)"
_FIELD: Final = (
    r"(?:api[-_ ]?key(?: provided)?|authorization|pass(?:word|wd|phrase)|secret(?:[-_]?access)?(?:[-_]?key)?|private[-_]?key"
    r"|(?:access|auth|refresh|session|id)[-_]?token|credentials?)"
)
_SEPARATOR: Final = r"\s{0,8}(?:=>|[:=]|%3D)\s{0,8}"
_BARE: Final = r"[^\s\x22',;&{}\[\]\\][^\s\x22',;&}\\]*"
_LONG: Final = r"[A-Za-z_=-]{0,24}[0-9][A-Za-z0-9._~+/=-]{9,}"  # ordinary words have no digit, or are short
_LONG_FIELD: Final = (
    r"(?:token|pwd|cookie|session|signature|(?:account|access|signing|encryption|master|subscription)[-_]?key)"
)
_ASSIGNS: Final = r"\s{0,8}(?:=>|[:=])\s{0,8}"
# After a quoted name only a quoted value: a number in a list of JSON stays one.
_OPENS_LIST: Final = rf"{_ASSIGNS}\[(?:\]string\{{)?\s{{0,8}}b?"
_SCHEME: Final = r"(?:(?:bearer|basic|token|digest|negotiate)\s+)?"
# A next value has the quotes of the first one: the text of a list may be cut, and other quotes are those around it.
_LISTS: Final = "|".join(
    rf"((?:{_FIELD}|{_LONG_FIELD})(?:\\*[\x22'])?{_OPENS_LIST}{quote}){_SCHEME}{_LONG}(?:{quote}\s{{0,8}},\s{{0,8}}b?{quote}{_SCHEME}{_LONG})*"
    for quote in (r"\x22", r"\\+\x22", r"\\*'")
)
_OTHER_QUOTES: Final = r"(b?\\+\x22)(?:[^\x22\\\r\n]|\\+[^\x22\\\r\n])+|(b?\\*')(?:[^\x22'\\\r\n]|\\+[^\x22'\\\r\n])+"

BARE_MEMBER: Final = (
    rf"(?i)({_FIELD}(\\*[\x22']){_SEPARATOR})(?:[^\s\x22',;&{{}}\[\]\\0-9]{{0,64}}[0-9][^\s\x22',;&}}\\]*"
    r"|[^\s\x22',;&{}\[\]\\][^\s\x22',;&}\\]+([,}]))"
)
"""A member with a quoted name and an unquoted value.

The replacement is quoted, so that JSON stays valid. `'password': must be a string` is prose: a word
without a digit counts as a value only at the end of the member.
"""

SECRET: Final = (
    r"(?i)(\b(?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{6,}"  # Authorization values
    # API keys by their usual prefixes
    r"|\b(?:(?:sk|pk|rk|gwz|xai|gsk|hf|gh[opsur]|github_pat|glpat|pplx|r8|nvapi|xox[abeprs])[-_]|AIza|AKIA)[A-Za-z0-9_-]{12,}"
    r"|\beyJ[A-Za-z0-9_-]{8,1000}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"  # JSON web tokens
    # A quoted value, spaces included. After an unquoted name, a quote may be the end of a JSON
    # text, which no value follows. The same holds for a name that ends with a quote of its own
    # text: the next quote may end that text.
    rf"|({_FIELD}\x22{_SEPARATOR}b?\x22)(?:[^\x22\\\r\n]|\\.)+"
    rf"|({_FIELD}\\*[\x22']{_SEPARATOR})(?:(b?\x22)(?:[^\x22\\\r\n,:}}\]]|\\.)(?:[^\x22\\\r\n]|\\.)*|{_OTHER_QUOTES})"
    rf"|({_FIELD}{_SEPARATOR})(?:(b?\x22)[^\s\x22\\,:}}\]](?:[^\x22\\\r\n]|\\.)*|{_OTHER_QUOTES}"
    rf"|{_SCHEME}{_BARE})"  # key=value, headers
    r"|([?&](?:x-(?:amz|goog)-)?(?:key|token|auth|pwd|sig|signature|credential|security-token)=)[^\s\x22',;&}\\]+"  # query strings
    # Names that harmless fields share, and headers as pairs: only a value that looks like a secret.
    rf"|((?:{_FIELD}\\*[\x22']\s{{0,8}},\s{{0,8}}b?\\*[\x22']|{_LONG_FIELD}(?:\\*[\x22']{_ASSIGNS}b?\\*[\x22']"
    rf"|{_ASSIGNS}b?(?:\\*[\x22']|(?:\\+(?:[bfnrt/]|u[0-9a-f]{{4}})){{0,8}}))))(?:bearer\s+|basic\s+)?{_LONG}"
    # All values of lists, and of fields of Go's headers, `map[X-Api-Key:[...]]`.
    rf"|{_LISTS}"
    rf"|((?:{_FIELD}|{_LONG_FIELD}){_OPENS_LIST}){_SCHEME}{_LONG}(?:\s{{1,8}}{_LONG})*"
    r"|(-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----)(?:[^\x22'\\-]|\\+[^\x22'\\-]|-[^\x22'\\-])*"
)
USER_INFO: Final = r"(://[^\s/:@?#\x22\\]*:)[^\s/?#\x22\\]*@|(://)[^\s/:@?#\x22\\]{16,}@"
"""Passwords in URLs, and long user names, which are tokens."""

FIELD_WORDS: Final = ("key", "authorization", "passw", "passphrase", "secret", "token", "credential")
SECRET_WORDS: Final = (
    *FIELD_WORDS,
    *(
        "bearer",
        "basic",
        "sk-",
        "sk_",
        "pk-",
        "pk_",
        "rk-",
        "rk_",
        "gwz-",
        "gwz_",
        "xai-",
        "xai_",
        "hf-",
        "hf_",
        *(f"gh{kind}{end}" for kind in "opsur" for end in "-_"),
        "github_pat",
        "glpat",
        "pplx",
        "r8-",
        "r8_",
        "nvapi",
        "xox",
    ),
    *("aiza", "akia", "eyj", "auth=", "pwd", "cookie", "session", "sig=", "signature"),
)
RULES: Final = (
    (BARE_MEMBER, r"\1\2" + REDACTED + r"\2\3", FIELD_WORDS),
    (SECRET, r"\1\2\3\4\5\6\7\8\9\g<10>\g<11>\g<12>\g<13>\g<14>\g<15>\g<16>\g<17>" + REDACTED, SECRET_WORDS),
    (USER_INFO, r"\1\2" + REDACTED + "@", ("://",)),
)
"""Pattern, replacement, and words of which every match contains one.

Searching a word costs far less than a pattern.

The Collector's rules are the same (`collector-config/base.yaml`).
"""

STEMS: Final = (
    *("key", "k-", "k_", "auth", "pass", "pwd", "secret", "token", "credential", "cookie", "session", "sig"),
    *(
        "bearer",
        "basic",
        "gwz",
        "xai",
        "gh",
        "github",
        "hf",
        "glpat",
        "pplx",
        "r8",
        "nvapi",
        "xox",
        "aiza",
        "akia",
        "eyj",
        "://",
    ),
)
"""Every word of every rule contains one of these, so most texts are cleared by one search."""

_SECRET_NAME: Final = re.compile(rf"(?i){_FIELD}$")
_MIN_KNOWN_CHARS: Final = 6
"""A shorter secret occurs in ordinary words, which would all be redacted."""


def _any_of(words: Iterable[str]) -> str:
    """Return a pattern of words that tries only those with the same first character at each position."""
    rests: dict[str, list[str]] = {}
    for word in words:
        rests.setdefault(word[0], []).append(re.escape(word[1:]))
    return "|".join(f"{re.escape(first)}(?:{'|'.join(found)})" for first, found in rests.items())


_FIND_STEM: Final = re.compile(_any_of(STEMS)).search


def _compile(pattern: str) -> re.Pattern[str]:
    """Compile a pattern that skips most positions by one character: three times as fast."""
    if not pattern.startswith(_ANY_CASE):
        return re.compile(pattern)
    return re.compile(rf"{_ANY_CASE}(?=[abceghimnprstx?&-])(?:{pattern.removeprefix(_ANY_CASE)})")


_COMPILED: Final = tuple((_compile(pattern), to, words) for pattern, to, words in RULES)


def redact(text: str) -> str:
    """Return `text` without anything that looks like a secret."""
    lower = text.lower()
    return text if _FIND_STEM(lower) is None else _redact(text, lower)


def _redact(text: str, lower: str) -> str:
    for pattern, to, words in _COMPILED:
        if any(word in lower for word in words):
            text = pattern.sub(to, text)
    return text


def is_secret_name(name: str) -> bool:
    """Whether a field of this name holds a secret."""
    return _SECRET_NAME.search(name) is not None


class KnownSecrets:
    """Redacts the process's own secrets, whatever they look like, and what `redact` finds.

    Safe from any thread. A secret is also found in its percent-encoded and its JSON form.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._known = forms_of(secret for secret in secrets if len(secret) >= _MIN_KNOWN_CHARS)

    def redact(self, text: str) -> str:
        """Return `text` without secrets."""
        for form in self._known:
            if form in text:
                text = text.replace(form, REDACTED)
        return redact(text)

    def __repr__(self) -> str:
        return "KnownSecrets()"


def forms_of(secrets: Iterable[str]) -> list[str]:
    """Return each secret as it is, percent-encoded, and as JSON writes it, with and without escaped slashes.

    The longest come first, because one may be the beginning of another.
    """
    return sorted({form for secret in secrets for form in _forms(secret)}, key=len, reverse=True)


def _forms(secret: str) -> set[str]:
    encoded = json.dumps(secret)[1:-1]
    return {secret, quote(secret, safe=""), quote(secret), encoded, encoded.replace("/", "\\/")}
