"""Rules for single configuration values: each yields a `Finding` where a value is out of range.

A finding never shows a value that could be a secret.
"""

import math
import re
from collections.abc import Iterable, Iterator
from typing import Final
from urllib.parse import urlsplit

import msgspec

MAX_NAME_CHARS: Final = 128
_MAX_SHOWN_NAMES: Final = 10
_VARIABLE_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_ORIGIN: Final = re.compile(r"[a-z][a-z0-9+.-]{0,31}://[^/?#@*\s]{1,255}")
TAG_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,31}")
MAX_AMOUNT: Final = 1_000_000.0
MAX_MULTIPLIER: Final = 100_000.0
"""Of a cost that the provider reports, which has no price in the configuration."""

_ONE_YEAR_SECONDS: Final = 366 * 86_400


class Finding(msgspec.Struct, frozen=True):
    """One mistake: where, what was found, what is allowed."""

    key_path: str
    found: str
    allowed: str


def check_name(key_path: str, name: str) -> Iterator[Finding]:
    """A name is printable, bounded, and has no blank at either end."""
    if not name or len(name) > MAX_NAME_CHARS or not name.isprintable() or name != name.strip():
        shown = repr(name) if len(name) <= MAX_NAME_CHARS else f"{len(name)} characters"
        yield Finding(key_path, shown, f"1 to {MAX_NAME_CHARS} printable characters, no blank at either end")


def check_count(key_path: str, count: int, allowed: str = "1 or more") -> Iterator[Finding]:
    """A count is at least 1."""
    if count < 1:
        yield Finding(key_path, repr(count), allowed)


def check_origins(key_path: str, origins: Iterable[str]) -> Iterator[Finding]:
    """An origin is what a browser sends: scheme, host and port. `*` alone allows every page."""
    for index, origin in enumerate([origins] if isinstance(origins, str) else origins):
        if origin != "*" and not (_ORIGIN.fullmatch(origin) and has_usable_port(origin)):
            # With an `@` it may hold a password.
            shown = repr(origin[:MAX_NAME_CHARS]) if "@" not in origin else "a URL with a user name"
            yield Finding(f"{key_path}[{index}]", shown, 'an origin as in "https://app.example.com", or "*"')


def check_seconds(key_path: str, seconds: float, *, zero: bool = False) -> Iterator[Finding]:
    """A duration is finite, above 0 (or at least 0 with `zero`), and at most a year."""
    if not (math.isfinite(seconds) and (seconds >= 0 if zero else seconds > 0) and seconds <= _ONE_YEAR_SECONDS):
        yield Finding(key_path, repr(seconds), f"seconds, {'0 or more' if zero else 'more than 0'}, at most a year")


def check_amount(key_path: str, amount: float, most: float = MAX_AMOUNT) -> Iterator[Finding]:
    """An amount is 0 or more, and small enough that the cost of a call fits the database's numbers."""
    if not 0 <= amount <= most:
        yield Finding(key_path, repr(amount), f"0 to {most:,.0f}")


def check_variable(key_path: str, variable: str | None) -> Iterator[Finding]:
    """The name of an environment variable, where one is given."""
    if variable is not None and not _VARIABLE_NAME.fullmatch(variable):
        yield Finding(
            key_path, "not the name of an environment variable", "letters, digits and _; the secret itself never"
        )


def has_usable_port(url: str) -> bool:
    """Whether the port of a URL, where there is one, is from 1 to 65535."""
    try:
        return urlsplit(url).port != 0
    except ValueError:
        return False


def is_http_url(url: str) -> bool:
    """Whether this is an address that can be called: scheme, host, and a valid port."""
    try:
        parts = urlsplit(url)
        valid = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return valid and url.isprintable() and " " not in url


def one_of(names: Iterable[str]) -> str:
    """Return the names as a list for `Finding.allowed`, each once, shortened."""
    shown = [repr(name) for name in dict.fromkeys(names)]
    if not shown:
        return "none, because none is configured"
    more = f" and {len(shown) - _MAX_SHOWN_NAMES} more" if len(shown) > _MAX_SHOWN_NAMES else ""
    return ", ".join(shown[:_MAX_SHOWN_NAMES]) + more
