"""Reads the token counts and the cost that a provider reports, in any of the shapes that providers use.

Input: undecoded `usage` objects, one or several of a response. Output: integers,
merged field by field; what cannot be a count is ignored and named. Well-formed counts are accepted
here and judged in `plausible_usage.py`. docs/costs.md lists the shapes of OpenAI, Anthropic,
OpenRouter, DeepSeek, Gemini, xAI, Perplexity, Groq, Moonshot, Mistral, DashScope, DeepInfra, LiteLLM,
vLLM, llama.cpp.
"""

from typing import Final

import msgspec

from app.gateway.openai.reported_cost import cost_nanousd
from app.gateway.openai.response_shape import LONGEST_INDEX_BYTES, MOST_CHOICES
from app.gateway.openai.text_units import ABSENT
from app.gateway.openai.usage_fields import UsageFields
from otel.events.usage import DisbelievedCount

_INPUT: Final = ("prompt_tokens", "input_tokens")
_OUTPUT: Final = ("completion_tokens", "output_tokens")
_CACHED: Final = (
    "prompt.cached_tokens",
    "prompt_cache_hit_tokens",
    "cache_read_input_tokens",
    "cached_tokens",
    "num_cached_tokens",
)
_CACHE_WRITE: Final = (
    "cache_creation_input_tokens",
    "prompt.cache_write_tokens",
    "prompt.cache_creation_tokens",
    "prompt.cache_creation_input_tokens",
)
_REASONING: Final = ("completion.reasoning_tokens", "completion.thinking_tokens", "reasoning_tokens")
_WRITTEN_SHORT: Final = ("created.ephemeral_5m_input_tokens", "prompt.cache_creation.ephemeral_5m_input_tokens")
_WRITTEN_LONG: Final = ("created.ephemeral_1h_input_tokens", "prompt.cache_creation.ephemeral_1h_input_tokens")
_APART: Final = ("cache_read_input_tokens", "cache_creation_input_tokens", _WRITTEN_SHORT[0], _WRITTEN_LONG[0])
"""What is below the details is a part of the input, as they are."""
_CACHED_AUDIO: Final = "prompt.cached_tokens_details.audio_tokens"


class ReportedUsage(msgspec.Struct, frozen=True):
    """What a provider reported of one response; None for a count that is missing.

    - `cached_tokens`, `cache_write_tokens` and `input_audio_tokens` are part of `input_tokens`;
      `long_cache_write_tokens`, kept for an hour, are part of `cache_write_tokens`.
    - `cached_audio_tokens` are part of both `cached_tokens` and `input_audio_tokens`.
    - `reasoning_tokens` and `output_audio_tokens` are part of `output_tokens`.
    - `hidden_tokens` are part of `output_tokens` and in none of the provider's own counts: what its
      total exceeds their sum by.
    - `cost_nanousd` is the provider's own figure.
    - `nonsense`: which counts it sent that cannot be any.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    cached_tokens: int = 0
    hidden_tokens: int = 0
    cache_write_tokens: int = 0
    long_cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    input_audio_tokens: int = 0
    cached_audio_tokens: int = 0
    output_audio_tokens: int = 0
    cost_nanousd: int | None = None
    nonsense: frozenset[DisbelievedCount] = frozenset()


class UsageReader:
    """Collects the `usage` objects of one response: the later of two counts wins, but a null or a zero replaces nothing.

    What stands beside the choices wins over what stands in one.
    """

    def __init__(self, fields: UsageFields | None = None) -> None:
        self._fields = fields or UsageFields()
        self._of_choices: dict[bytes, UsageFields] = {}

    def add(self, raw: msgspec.Raw, choice: bytes | None = None) -> bool:
        """Take in one `usage` object, or any other value of that field; return whether it counts the output.

        `choice` is the index of the choice that holds it, as it was sent.
        """
        if raw is ABSENT:
            return False
        if choice is None:
            return self._fields.merge(raw)
        fields = self._of_choices.get(choice)
        if fields is None:
            if len(self._of_choices) >= MOST_CHOICES or len(choice) > LONGEST_INDEX_BYTES:
                return False
            fields = self._of_choices[choice] = UsageFields()
        return fields.merge(raw)

    def read(self) -> ReportedUsage | None:
        """Return the merged counts; None where there is neither a count nor a value that cannot be one."""
        if self._of_choices:
            return UsageReader(self._fields.with_choices(list(self._of_choices.values()))).read()
        fields = self._fields
        if not fields.counts and not fields.nonsense and not fields.costs:
            return None
        nonsense = set(fields.nonsense)
        total, output_tokens, cached, written = fields.counts.get("total_tokens"), fields.first(_OUTPUT), 0, 0
        if fields.has_parts:
            cached, written = fields.first(_CACHED) or 0, self._written()
        input_tokens = self._input_tokens(total, output_tokens, cached + written)
        hidden = 0
        if not input_tokens and output_tokens is not None and total is not None and total >= output_tokens:
            input_tokens = total - output_tokens
        elif output_tokens is None and input_tokens is not None and total is not None and total >= input_tokens:
            output_tokens = total - input_tokens
        elif input_tokens is not None and output_tokens is not None:
            hidden = self._hidden_tokens(total, input_tokens, output_tokens)
            output_tokens += hidden
        if fields.has_parts:
            cached = _part("cached", cached, input_tokens, nonsense)
            written = _part("cache_write", written, None if input_tokens is None else input_tokens - cached, nonsense)
        reported = ReportedUsage(
            input_tokens=input_tokens,
            output_tokens=output_tokens,
            total_tokens=total,
            cached_tokens=cached,
            hidden_tokens=hidden,
            cache_write_tokens=written,
            cost_nanousd=cost_nanousd(fields.costs, nonsense) if fields.costs else None,
            nonsense=frozenset(nonsense),
        )
        return self._with_details(reported, nonsense) if fields.has_parts or hidden else reported

    def _with_details(self, reported: ReportedUsage, nonsense: set[DisbelievedCount]) -> ReportedUsage:
        """Return the usage with the details that few responses have."""
        counts = self._fields.counts
        reasoning = self._fields.first(_REASONING) or reported.hidden_tokens
        heard = _part("audio_input", counts.get("prompt.audio_tokens", 0), reported.input_tokens, nonsense)
        return msgspec.structs.replace(
            reported,
            long_cache_write_tokens=min(self._fields.first(_WRITTEN_LONG) or 0, reported.cache_write_tokens),
            reasoning_tokens=_part("reasoning", reasoning, reported.output_tokens, nonsense),
            input_audio_tokens=heard,
            cached_audio_tokens=min(counts.get(_CACHED_AUDIO, 0), heard, reported.cached_tokens),
            output_audio_tokens=_part(
                "audio_output", counts.get("completion.audio_tokens", 0), reported.output_tokens, nonsense
            ),
            nonsense=frozenset(nonsense),
        )

    def _hidden_tokens(self, total: int | None, input_tokens: int, output_tokens: int) -> int:
        """Return the reasoning that the output leaves out: the total has it, or its own count shows that the output cannot."""
        without = 0 if total is None else max(total - input_tokens - output_tokens, 0)
        if without or not self._fields.has_parts:
            return without
        reasoning = self._fields.first(_REASONING) or 0
        # Perplexity's, beside the output and not below it, is in no total either.
        is_beside = not total or self._fields.counts.get("reasoning_tokens")
        return reasoning if reasoning > output_tokens and is_beside else 0

    def _input_tokens(self, total: int | None, output_tokens: int | None, apart: int) -> int | None:
        """Return the input with what the cache held of it, where the provider counts that apart."""
        counts = self._fields.counts
        input_tokens = self._fields.first(_INPUT)
        if not input_tokens and "prompt_cache_miss_tokens" in counts:
            input_tokens = counts["prompt_cache_miss_tokens"] + counts.get("prompt_cache_hit_tokens", 0)
        if input_tokens is None or not apart:
            return input_tokens
        # A field that is filled in with a 0 says nothing about the shape.
        is_apart = not counts.get("prompt_tokens") and any(counts.get(name) for name in _APART)
        return whole_input(input_tokens, apart, output_tokens or 0, total, is_apart=is_apart)

    def _written(self) -> int:
        """Return the tokens that were written into the provider's cache."""
        fields = self._fields
        return fields.first(_CACHE_WRITE) or (fields.first(_WRITTEN_SHORT) or 0) + (fields.first(_WRITTEN_LONG) or 0)


def whole_input(input_tokens: int, cached: int, output_tokens: int, total: int | None, *, is_apart: bool) -> int:
    """Return the input with its cached tokens: Anthropic's input has neither what came from the cache nor what went into it.

    A total that is possible for one of the two meanings alone decides; else `is_apart`, what the names say.
    """
    counted = input_tokens + output_tokens
    if total is not None and total == counted + cached:
        return input_tokens + cached
    # More cached tokens than input are not a part of it, whatever the total is.
    is_within = total is not None and counted <= total < counted + cached and cached <= input_tokens
    return input_tokens + cached if is_apart and not is_within else input_tokens


def _part(name: DisbelievedCount, count: int, whole: int | None, nonsense: set[DisbelievedCount]) -> int:
    """Return a count that is part of another; 0, and named, where it is larger."""
    if whole is None or count <= whole:
        return count
    nonsense.add(name)
    return 0
