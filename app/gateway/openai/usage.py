"""Reads the token counts that a provider reports, in any of the shapes that providers use.

Input: undecoded `usage` objects, one or several of a response. Output: integers,
merged field by field; what cannot be a count is ignored and named. Well-formed counts are accepted
here and judged in `plausible_usage.py`.
"""

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeAlias

import msgspec

from app.gateway.openai.text_units import ABSENT
from otel.events import DisbelievedCount

_MAX_USAGE_BYTES: Final = 64 * 1024
_MAX_DIGITS: Final = 20
_MAX_COUNT: Final = 10**15
"""Above this a sum would leave the range of the ledger's integers."""

_Number: TypeAlias = int | float | None


class _Details(msgspec.Struct, gc=False):
    cached_tokens: _Number = None
    reasoning_tokens: _Number = None


class _Usage(msgspec.Struct, gc=False):
    prompt_tokens: _Number = None
    input_tokens: _Number = None
    completion_tokens: _Number = None
    output_tokens: _Number = None
    total_tokens: _Number = None
    cached_tokens: _Number = None
    prompt_cache_hit_tokens: _Number = None
    cache_read_input_tokens: _Number = None
    cache_creation_input_tokens: _Number = None
    prompt_tokens_details: _Details | None = None
    input_tokens_details: _Details | None = None
    completion_tokens_details: _Details | None = None
    output_tokens_details: _Details | None = None


_USAGE: Final = msgspec.json.Decoder(_Usage)
_NO_DETAILS: Final = _Details()
_DETAILS: Final = (
    "prompt_tokens_details",
    "input_tokens_details",
    "completion_tokens_details",
    "output_tokens_details",
)
_PART_OF: Final[Mapping[str, DisbelievedCount]] = {
    "prompt_tokens": "input",
    "input_tokens": "input",
    "completion_tokens": "output",
    "output_tokens": "output",
    "reasoning_tokens": "output",
    "total_tokens": "total",
}
"""What a field counts; all others count the cached input."""


class ReportedUsage(msgspec.Struct, frozen=True):
    """What a provider reported of one response; None for a count that is missing.

    `cached_tokens` are part of `input_tokens`. `hidden_tokens` are part of `output_tokens` and in
    none of the provider's own counts: what its total exceeds their sum by. `nonsense`: which counts
    it sent that cannot be any.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    cached_tokens: int = 0
    hidden_tokens: int = 0
    nonsense: frozenset[DisbelievedCount] = frozenset()


class UsageReader:
    """Collects the `usage` objects of one response: the later of two counts wins, but a null or a zero replaces nothing."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._excludes_cached = False
        self._nonsense: set[DisbelievedCount] = set()

    def add(self, raw: msgspec.Raw) -> bool:
        """Take in one `usage` object, or any other value of that field; return whether it counts the output."""
        if raw is ABSENT:
            return False
        if memoryview(raw).nbytes > _MAX_USAGE_BYTES:
            self._nonsense.add("total")
            return False
        try:
            usage = _USAGE.decode(raw)
        except (msgspec.DecodeError, RecursionError):
            usage = self._readable(raw)
        input_details = usage.prompt_tokens_details or usage.input_tokens_details or _NO_DETAILS
        output_details = usage.completion_tokens_details or usage.output_tokens_details or _NO_DETAILS
        cached = (
            input_details.cached_tokens, usage.prompt_cache_hit_tokens, usage.cache_read_input_tokens, usage.cached_tokens,
        )  # fmt: skip
        self._take("input", "input", usage.prompt_tokens, usage.input_tokens)
        counts_output = self._take("output", "output", usage.completion_tokens, usage.output_tokens)
        counts_total = self._take("total", "total", usage.total_tokens)
        self._take("cached", "cached", *cached)
        self._take("written", "cached", usage.cache_creation_input_tokens)
        self._take("reasoning", "output", output_details.reasoning_tokens)
        if usage.prompt_tokens is None and usage.input_tokens is not None and usage.cache_read_input_tokens is not None:
            # Anthropic's: its input counts neither what came from the cache nor what went into it.
            self._excludes_cached = True
        return counts_output or (counts_total and self._counts["total"] > self._counts.get("input", 0))

    def read(self) -> ReportedUsage | None:
        """Return the merged counts; None where there is neither a count nor a value that cannot be one."""
        counts = self._counts
        if not counts and not self._nonsense:
            return None
        total, output_tokens = counts.get("total"), counts.get("output")
        cached = counts.get("cached", 0)
        input_tokens = self._input_tokens(total, output_tokens)
        hidden = 0
        if input_tokens is None and output_tokens is not None and total is not None and total >= output_tokens:
            input_tokens = total - output_tokens
        elif output_tokens is None and input_tokens is not None and total is not None and total >= input_tokens:
            output_tokens = total - input_tokens
        elif input_tokens is not None and output_tokens is not None:
            # Reasoning that the output leaves out: the total has it, or its own count shows that the output cannot.
            without = max((total or 0) - input_tokens - output_tokens, 0)
            reasoning = counts.get("reasoning", 0)
            hidden = without if total is not None else (reasoning if reasoning > output_tokens else 0)
            output_tokens += hidden
        nonsense = set(self._nonsense)
        if input_tokens is not None and cached > input_tokens:
            nonsense.add("cached")
            cached = 0
        return ReportedUsage(
            input_tokens=input_tokens,
            output_tokens=output_tokens,
            total_tokens=total,
            cached_tokens=cached,
            hidden_tokens=hidden,
            nonsense=frozenset(nonsense),
        )

    def _input_tokens(self, total: int | None, output_tokens: int | None) -> int | None:
        """Return the input with what the cache held of it, where the provider counts that apart."""
        input_tokens = self._counts.get("input")
        if input_tokens is None:
            return None
        apart = self._counts.get("cached", 0) + self._counts.get("written", 0)
        if self._excludes_cached or (total is not None and total == input_tokens + apart + (output_tokens or 0)):
            return input_tokens + apart
        return input_tokens

    def _readable(self, raw: msgspec.Raw) -> _Usage:
        """Return what can be read of usage whose fields are not all numbers; each of the others is nonsense."""
        try:
            # Unlike msgspec, json reads numbers of any size: 1e400 is infinite, not an error.
            usage = json.loads(bytes(raw), parse_int=_integer)
        except (ValueError, RecursionError):
            usage = None
        if not isinstance(usage, dict):
            return _Usage()
        found = _Usage()
        for name, value in self._numbers(usage, _Usage):
            setattr(found, name, value)
        for name in _DETAILS:
            if isinstance(usage.get(name), dict):
                details = _Details()
                for inner, value in self._numbers(usage[name], _Details):
                    setattr(details, inner, value)
                setattr(found, name, details)
        return found

    def _numbers(self, fields: Mapping[str, Any], struct: type[msgspec.Struct]) -> Iterator[tuple[str, int | float]]:
        """Return the numbers among the fields that a struct has."""
        for name in struct.__struct_fields__:
            value = fields.get(name)
            if value is None or name in _DETAILS:
                continue
            if isinstance(value, int | float) and not isinstance(value, bool):
                yield name, value
            else:
                self._nonsense.add(_PART_OF.get(name, "cached"))

    def _take(self, name: str, nonsense: DisbelievedCount, *values: _Number) -> bool:
        """Take in the first of the values that is a count: null, nonsense and 0 in one field never hide another. Whether it is over 0."""
        for value in values:
            if value is None:
                continue
            count = _count(value)
            if count is None:
                self._nonsense.add(nonsense)
            elif count:
                self._counts[name] = count
                return True
            else:
                self._counts.setdefault(name, 0)
        return False


def _integer(digits: str) -> float:
    """Return an integer, or infinity for one that is too long for any count."""
    return int(digits) if len(digits) <= _MAX_DIGITS else math.inf


def _count(value: float) -> int | None:
    """Return a token count, or None for what cannot be one. Some servers write whole numbers as 12.0."""
    if isinstance(value, float):
        if not value.is_integer():
            return None
        value = int(value)
    return value if 0 <= value <= _MAX_COUNT else None
