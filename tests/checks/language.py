"""Fails on words that the project does not use, in every tracked text file.

Each word has one replacement. `ALLOWED` lists uses that are right, each with its reason.
"""

import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
SUFFIXES: Final = frozenset({".py", ".md", ".toml", ".yaml", ".yml", ".json", ".ini", ".mako", ""})
"""Of the files that people write; the names without a suffix are Makefile, Dockerfile and the like."""

WORDS: Final[Mapping[str, str]] = {
    "books": "counters, stats, snapshot",
    "rig": "harness",
    "leash": "watchdog",
    "twins": "colliding series",
    "in hand": "in flight",
    "left alone": "skipped, circuit open",
    "passed over": "skipped",
    "made true": "corrected",
    "look-up": "lookup",
    "time-out": "timeout",
    "roll-up": "rollup",
    "fail-over": "failover",
    "anew": "again",
    "for ever": "indefinitely",
    "the guide": "the name of the thing itself",
    "lean span": "fast span",
    "lean tracer": "fast tracer",
    "lean logger": "fast logger",
    "sketch of a request": "request template",
    "surprise": "mismatch",
}
PRODUCT: Final = ("app/", "console/", "otel/")
PRODUCT_WORDS: Final[Mapping[str, str]] = {
    "answer": "response, return",
    "answered": "responded, served",
    "nobody": "no caller, no component",
    "whoever": "any caller",
    "ours": "the gateway's",
}
"""Words that the product does not use; tests, documents and the demo may."""

_USERS_NAMES: Final = re.compile(r"whole_answer(?=_seconds|_timeout)")
"""A configuration key and an error kind, which configurations and dashboards hold."""

_SPEAKING_NAME: Final = re.compile(r"\b\w*_(?:ask|asked|say|said|tell|told)\b|\b_?(?:ask|asked|say|said|tell|told)_\w+")
"""An identifier of the product in the words of a conversation."""

ALLOWED: Final[Mapping[str, Mapping[str, str]]] = {
    "tests/checks/language.py": dict.fromkeys(WORDS, "the list itself"),
    "tests/checks/test_language.py": dict.fromkeys(WORDS, "examples of what is found"),
}
"""By path: the word, and why it is right there."""

PENDING: Final[tuple[str, ...]] = ()
"""Paths that are not checked yet, by their beginning. Empty when every part is done."""

_HEADER: Final = re.compile(r'\A(?:#!.*\n)?"""[A-Z][A-Z0-9 /-]+(?: of [^:\n]{1,60})?: ')
_FORMULA: Final = re.compile(r"\b(?:Comes in|Goes out): ")


def _pattern(word: str) -> re.Pattern[str]:
    """Match a word in prose, in snake_case and in CamelCase, with or without a plural."""
    parts = re.split(r"[ -]", word)
    separator = r"[ _-]" if " " in word else "-"
    lower = separator.join(parts)
    camel = "".join(f"[{part[0].upper()}]{part[1:]}" for part in parts)
    upper = separator.join(part.upper() for part in parts)
    sentence = lower[0].upper() + lower[1:]
    return re.compile(
        rf"(?<![A-Za-z])(?:{lower}|{sentence})s?(?![a-z])|{camel}s?(?![a-z])|(?<![A-Za-z]){upper}S?(?![A-Za-z])"
    )


_PATTERNS: Final = {word: _pattern(word) for word in WORDS}
_PRODUCT_PATTERNS: Final = {word: _pattern(word) for word in PRODUCT_WORDS}


def findings(path: str, text: str) -> Iterator[str]:
    """Return a line for each word of the list in a file, and for a module header in capitals."""
    allowed = ALLOWED.get(path, {})
    for word, pattern in _PATTERNS.items():
        if word in allowed:
            continue
        for found in pattern.finditer(text):
            line = text.count("\n", 0, found.start()) + 1
            yield f"{path}:{line}: {found.group()!r}; write: {WORDS[word]}"
    if path.startswith(PRODUCT):
        yield from _product_findings(path, text)
    if path.endswith(".py") and path not in ALLOWED:
        if _HEADER.match(text):
            yield f"{path}:1: a heading in capitals; write one summary sentence"
        for found in _FORMULA.finditer(text):
            line = text.count("\n", 0, found.start()) + 1
            yield f"{path}:{line}: {found.group()!r}; write sentences"


def _product_findings(path: str, text: str) -> Iterator[str]:
    """Return a line for each word that only the product does not use."""
    text = _USERS_NAMES.sub(lambda found: "_" * len(found[0]), text)
    for word, pattern in _PRODUCT_PATTERNS.items():
        for found in pattern.finditer(text):
            line = text.count("\n", 0, found.start()) + 1
            yield f"{path}:{line}: {found.group()!r}; write: {PRODUCT_WORDS[word]}"
    if path.endswith(".py"):
        for found in _SPEAKING_NAME.finditer(text):
            line = text.count("\n", 0, found.start()) + 1
            yield f"{path}:{line}: {found.group()!r}; write: query, request, report, log"


def checked_paths() -> list[str]:
    """Return the tracked text files that are not pending."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S607  git of the user's PATH
    if listed.returncode:
        paths = [str(path.relative_to(ROOT)) for top in ("app", "console", "otel", "demo", "tests", "docs", "bench", "compose")
                 for path in sorted((ROOT / top).rglob("*"))]  # fmt: skip
    else:
        paths = listed.stdout.split("\0")
    return [
        path
        for path in paths
        if path
        and Path(path).suffix in SUFFIXES
        and (ROOT / path).is_file()
        and not path.startswith(("requirements/", *PENDING))
    ]


def main() -> int:
    """Print the findings; return 1 if there are any."""
    found = [
        line
        for path in checked_paths()
        for line in findings(path, (ROOT / path).read_text(encoding="utf-8", errors="replace"))
    ]
    for line in found:
        print(line)  # noqa: T201  what a check has found
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
