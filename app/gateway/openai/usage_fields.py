"""Merges the fields of a response's `usage` objects by name, before they are interpreted.

Input: undecoded `usage` objects. Output: counts by the field's name, those of nested objects as
`prompt.cached_tokens`. Because fields are merged before they are read, the result
does not depend on how a usage is spread over the chunks of a stream.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import msgspec

from app.gateway.openai.text_units import ABSENT
from otel.events.usage import DisbelievedCount

_MAX_USAGE_BYTES: Final = 64 * 1024
_MAX_DIGITS: Final = 20
MAX_COUNT: Final = 10**15
"""Above this a sum would leave the range of the ledger's integers."""

_Number: TypeAlias = int | float | None


class _Created(msgspec.Struct, gc=False):
    ephemeral_5m_input_tokens: _Number = None
    ephemeral_1h_input_tokens: _Number = None


class _Cached(msgspec.Struct, gc=False):
    audio_tokens: _Number = None


class RawDetails(msgspec.Struct, gc=False):
    """An object within a usage, field by field as it was sent."""

    cached_tokens: _Number = None
    cache_write_tokens: _Number = None
    cache_creation_tokens: _Number = None
    cache_creation_input_tokens: _Number = None
    audio_tokens: _Number = None
    reasoning_tokens: _Number = None
    thinking_tokens: _Number = None
    cache_creation: _Created | None = None
    cached_tokens_details: _Cached | None = None


class RawUsage(msgspec.Struct, gc=False):
    """A usage, field by field as it was sent."""

    prompt_tokens: _Number = None
    input_tokens: _Number = None
    completion_tokens: _Number = None
    output_tokens: _Number = None
    total_tokens: _Number = None
    cached_tokens: _Number = None
    prompt_cache_hit_tokens: _Number = None
    prompt_cache_miss_tokens: _Number = None
    cache_read_input_tokens: _Number = None
    cache_creation_input_tokens: _Number = None
    reasoning_tokens: _Number = None
    num_cached_tokens: _Number = None
    prompt_tokens_details: RawDetails | None = None
    prompt_token_details: RawDetails | None = None
    input_tokens_details: RawDetails | None = None
    input_token_details: RawDetails | None = None
    completion_tokens_details: RawDetails | None = None
    output_tokens_details: RawDetails | None = None
    output_token_details: RawDetails | None = None
    cache_creation: _Created | None = None
    cost: msgspec.Raw = ABSENT
    cost_details: msgspec.Raw = ABSENT
    cost_in_usd_ticks: msgspec.Raw = ABSENT
    estimated_cost: msgspec.Raw = ABSENT
    is_byok: msgspec.Raw = ABSENT


_USAGE: Final = msgspec.json.Decoder(RawUsage)
_COSTS: Final = ("cost", "cost_details", "cost_in_usd_ticks", "estimated_cost", "is_byok")
_FLAT: Final = RawUsage.__struct_fields__[:12]
_BASIC, _FURTHER = _FLAT[:5], _FLAT[5:]
_NESTED: Final = {
    "prompt_tokens_details": "prompt",
    "prompt_token_details": "prompt",
    "input_tokens_details": "prompt",
    "input_token_details": "prompt",
    "completion_tokens_details": "completion",
    "output_tokens_details": "completion",
    "output_token_details": "completion",
    "cache_creation": "created",
}
"""The objects in a usage, in the order of its fields, by the first part of their fields' paths."""
_COUNTS: Final = 7
"""The fields of details that are counts; behind them are objects."""
_NESTED_PATHS: Final = tuple(
    tuple(
        f"{prefix}.{field}" for field in (_Created if prefix == "created" else RawDetails).__struct_fields__[:_COUNTS]
    )
    for prefix in _NESTED.values()
)
_INNER: Final = {"cache_creation": _Created, "cached_tokens_details": _Cached}
"""The objects in details. Their fields' paths are longer than those of the same objects beside the details."""
_INNER_PATHS: Final = tuple(
    tuple(f"prompt.{name}.{field}" for field in kind.__struct_fields__) for name, kind in _INNER.items()
)
_NO_COSTS: Final = (ABSENT,) * len(_COSTS)
_NO_FURTHER: Final = (None,) * len(_FURTHER)
_NOTHING_ELSE: Final = _NO_FURTHER + (None,) * len(_NESTED) + _NO_COSTS
"""What follows input, output and total where that is all."""
_PART_OF: Final[Mapping[str, DisbelievedCount]] = {
    "prompt_tokens": "input",
    "input_tokens": "input",
    "prompt_cache_miss_tokens": "input",
    "completion_tokens": "output",
    "output_tokens": "output",
    "total_tokens": "total",
    "reasoning_tokens": "reasoning",
    "completion.reasoning_tokens": "reasoning",
    "completion.thinking_tokens": "reasoning",
    "prompt.audio_tokens": "audio_input",
    "completion.audio_tokens": "audio_output",
    "cache_creation_input_tokens": "cache_write",
    "prompt.cache_write_tokens": "cache_write",
    "prompt.cache_creation_tokens": "cache_write",
    "prompt.cache_creation_input_tokens": "cache_write",
    "prompt.cache_creation.ephemeral_5m_input_tokens": "cache_write",
    "prompt.cache_creation.ephemeral_1h_input_tokens": "cache_write",
    "prompt.cached_tokens_details.audio_tokens": "audio_input",
    "created.ephemeral_5m_input_tokens": "cache_write",
    "created.ephemeral_1h_input_tokens": "cache_write",
}
"""What a field counts; all others count the cached input."""


_OUTPUT_PARTS: Final = frozenset({"output", "reasoning", "audio_output"})


class UsageFields:
    """The fields of one response. `costs` are undecoded; `has_parts`: a field beside input, output and total is over 0."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.costs: dict[str, bytes] = {}
        self.nonsense: set[DisbelievedCount] = set()
        self.has_parts = False

    def merge(self, raw: msgspec.Raw) -> bool:
        """Merge one object, or any other value of the field; return whether it has a count of the output."""
        if memoryview(raw).nbytes > _MAX_USAGE_BYTES:
            self.nonsense.add("total")
            return False
        try:
            usage = _USAGE.decode(raw)
        except (msgspec.DecodeError, RecursionError):
            return self._merge_readable(raw)
        values = msgspec.structs.astuple(usage)
        if usage.total_tokens is None and "total_tokens" in self.counts:
            self._forget_total(values)
        self._take(_BASIC, values)
        if values[len(_BASIC) :] != _NOTHING_ELSE:
            self._take_parts(usage, values)
        return self._counts_output(usage.completion_tokens, usage.output_tokens, usage.total_tokens)

    def _forget_total(self, values: tuple[Any, ...]) -> None:
        """Forget the total of an earlier chunk where this one states another input or output: it was of the earlier ones."""
        for name, value in zip(_BASIC, values, strict=False):
            if value and self.counts.get(name, value) not in {0, value}:
                self.counts.pop("total_tokens", None)

    def _take_parts(self, usage: RawUsage, values: tuple[Any, ...]) -> None:
        """Merge what one object has beside input, output and total."""
        if values[len(_BASIC) : len(_FLAT)] != _NO_FURTHER:
            self._take(_FURTHER, values[len(_BASIC) :], is_part=True)
        for paths, details in zip(_NESTED_PATHS, values[len(_FLAT) :], strict=False):
            if details is not None:
                counts = msgspec.structs.astuple(details)
                self._take(paths, counts, is_part=True)
                for inner_paths, inner in zip(_INNER_PATHS, counts[_COUNTS:], strict=False):
                    if inner is not None:
                        self._take(inner_paths, msgspec.structs.astuple(inner), is_part=True)
        if values[-len(_COSTS) :] != _NO_COSTS:
            self._take_costs({name: bytes(getattr(usage, name)) for name in _COSTS})

    def first(self, names: Iterable[str]) -> int | None:
        """Return the first of the fields that is over 0; else 0 where one is present, None where none is."""
        found = None
        for name in names:
            count = self.counts.get(name)
            if count:
                return count
            if count is not None:
                found = 0
        return found

    def with_choices(self, choices: Sequence["UsageFields"]) -> "UsageFields":
        """Return these fields with what the choices of the response report, for each count that is missing or 0.

        Of several choices each has its own output, and all have the same input. The figures of their
        costs are not added up.
        """
        merged = UsageFields()
        added, costs = (choices[0].counts, choices[0].costs) if len(choices) == 1 else (_sum_of_choices(choices), {})
        merged.counts = added | {name: count for name, count in self.counts.items() if count or name not in added}
        merged.costs = costs | self.costs
        for each in (self, *choices):
            merged.nonsense |= each.nonsense
            merged.has_parts = merged.has_parts or each.has_parts
        return merged

    def _take(self, names: Sequence[str], values: Iterable[Any], *, is_part: bool = False) -> None:
        """Merge the values that are counts, one for each name; a null, an impossible value and 0 replace nothing."""
        counts = self.counts
        for name, value in zip(names, values, strict=False):
            if value is None:
                continue
            if type(value) is int and 0 < value <= MAX_COUNT:
                counts[name] = value
                if is_part:
                    self.has_parts = True
                continue
            count = _count(value)
            if count is None:
                self.nonsense.add(_PART_OF.get(name, "cached"))
            elif count:
                counts[name] = count
                self.has_parts = self.has_parts or is_part
            else:
                counts.setdefault(name, 0)

    def _take_costs(self, costs: Mapping[str, bytes]) -> None:
        """Merge the fields about money; a null or a 0 replaces nothing."""
        for name, value in costs.items():
            if value and value != b"null" and (name not in self.costs or value.strip(b"0.")):
                self.costs[name] = value

    def _counts_output(self, completion: object, output: object, total: object) -> bool:
        """Whether one object has a count of the output, by itself or in a total that is larger than the input."""
        if (type(completion) is int and 0 < completion <= MAX_COUNT) or _count(completion) or _count(output):
            return True
        total_tokens = _count(total) or 0
        return total_tokens > (self.first(("prompt_tokens", "input_tokens")) or 0)

    def _merge_readable(self, raw: msgspec.Raw) -> bool:
        """Merge the readable fields of usage whose fields are not all numbers; the other fields are `nonsense`."""
        try:
            # Unlike msgspec, json reads numbers of any size: 1e400 is infinite, not an error.
            usage = json.loads(bytes(raw), parse_int=_integer)
        except (ValueError, RecursionError):
            return False
        if not isinstance(usage, dict):
            return False
        self._take(_BASIC, map(usage.get, _BASIC))
        self._take(_FURTHER, map(usage.get, _FURTHER), is_part=True)
        for name, paths in zip(_NESTED, _NESTED_PATHS, strict=True):
            details = usage.get(name)
            if isinstance(details, dict):
                self._take(paths, [details.get(path.partition(".")[2]) for path in paths], is_part=True)
                for inner_name, inner_paths in zip(_INNER, _INNER_PATHS, strict=True):
                    inner = details.get(inner_name)
                    if isinstance(inner, dict):
                        self._take(
                            inner_paths, [inner.get(path.rpartition(".")[2]) for path in inner_paths], is_part=True
                        )
        self._take_costs({name: json.dumps(usage[name]).encode() for name in _COSTS if name in usage})
        return self._counts_output(
            *(usage.get(name) for name in ("completion_tokens", "output_tokens", "total_tokens"))
        )


def _sum_of_choices(choices: Sequence[UsageFields]) -> dict[str, int]:
    """Return the counts of several choices as those of one response: its output is the sum, its input the largest."""
    counts: dict[str, int] = {}
    for each in choices:
        for name, count in each.counts.items():
            is_output = _PART_OF.get(name) in _OUTPUT_PARTS
            counts[name] = counts.get(name, 0) + count if is_output else max(counts.get(name, 0), count)
    if "total_tokens" in counts:
        input_tokens = max(counts.get("prompt_tokens", 0), counts.get("input_tokens", 0))
        beyond = (max(each.counts.get("total_tokens", 0) - input_tokens, 0) for each in choices)
        counts["total_tokens"] = input_tokens + sum(beyond)
    return counts


def _integer(digits: str) -> float:
    """Return an integer, or infinity for one that is too long for any count."""
    return int(digits) if len(digits) <= _MAX_DIGITS else math.inf


def _count(value: object) -> int | None:
    """Return a token count, or None for what cannot be one. Some servers write whole numbers as 12.0."""
    if isinstance(value, float):
        if not value.is_integer():
            return None
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if 0 <= value <= MAX_COUNT else None
