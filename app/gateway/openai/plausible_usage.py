"""Whether reported token counts are plausible: bounds from what was sent, requested and delivered, and from the time it took.

The bounds are far above what any model does, and far below a defect's: no honest report is
disbelieved, and no defect costs a caller its budget. They are documented in docs/gateway.md. What
is not believed is estimated instead.
"""

from typing import Final

import msgspec

from app.gateway.openai.request import CallRequest
from app.gateway.openai.response_shape import MOST_CHOICES
from app.gateway.openai.text_units import UNITS_PER_BYTE
from app.gateway.openai.usage import ReportedUsage
from otel.events.usage import DisbelievedCount

INPUT_ALLOWANCE_TOKENS: Final = 200_000
"""Beyond a token per byte sent: templates, and searches that the provider makes by itself."""

REFERRED_ALLOWANCE_TOKENS: Final = 2_000_000
"""Where the request names images, sounds, videos, files or tools: the longest context that providers offer."""

HIDDEN_OUTPUT_TOKENS: Final = 65_536
"""Per choice, beyond the limit that the caller set: reasoning that some providers do not count against it."""

UNLIMITED_OUTPUT_TOKENS: Final = 200_000
"""Per choice, where the caller set no limit, and at any speed."""

MOST_TOKENS_PER_SECOND: Final = 20_000
MOST_OUTPUT_TOKENS: Final = 1_000_000
"""Per choice, however long it took and whatever limit was set."""

_LIMITS: Final = ("max_completion_tokens", "max_tokens")
_REFERRING: Final = (
    b"_url",
    b"input_audio",
    b'"file',
    b'"video',
    b'"tools"',
    b'"functions"',
    b'"plugins"',
    b"web_search",
)


class Delivered(msgspec.Struct, frozen=True):
    """What an attempt delivered: how much text (app/gateway/openai/text_units.py), in how many choices, within which time.

    `uncounted_units` of the text came after the last chunk that counted the output.
    """

    text_units: int
    choices: int
    seconds: float
    uncounted_units: int = 0


class BelievedUsage(msgspec.Struct, frozen=True):
    """The plausible counts, None for one that has to be estimated; `disbelieved` names the implausible ones.

    `total_tokens` is set where it is all that was reported. The details of a count that is not
    believed are 0.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    long_cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    input_audio_tokens: int = 0
    cached_audio_tokens: int = 0
    output_audio_tokens: int = 0
    disbelieved: tuple[DisbelievedCount, ...] = ()


def believe(reported: ReportedUsage, request: CallRequest, delivered: Delivered) -> BelievedUsage:
    """Separate plausible counts from implausible ones."""
    if _is_usual(reported, request):
        return BelievedUsage(
            input_tokens=reported.input_tokens,
            output_tokens=reported.output_tokens,
            cached_tokens=reported.cached_tokens,
            cache_write_tokens=reported.cache_write_tokens,
            long_cache_write_tokens=reported.long_cache_write_tokens,
            reasoning_tokens=reported.reasoning_tokens,
            input_audio_tokens=reported.input_audio_tokens,
            cached_audio_tokens=reported.cached_audio_tokens,
            output_audio_tokens=reported.output_audio_tokens,
        )
    doubts = set(reported.nonsense)
    input_tokens, output_tokens, total_tokens = reported.input_tokens, reported.output_tokens, reported.total_tokens
    if request.operation == "embeddings":
        # They have no output: a total is the input.
        input_tokens, output_tokens = input_tokens or total_tokens, 0
    # Some servers fill in zeros for what they do not count: no request has no input, and no text no output.
    input_tokens = input_tokens or None
    if delivered.text_units:
        output_tokens = output_tokens or None
    total_tokens = total_tokens or None
    is_total_only = input_tokens is None and output_tokens is None and total_tokens is not None
    if input_tokens is not None and not _can_be_input(input_tokens, request):
        doubts.add("input")
        input_tokens = None
    # The request is not read for counts that are plausible for every request.
    is_small = not is_total_only and (output_tokens or 0) <= HIDDEN_OUTPUT_TOKENS
    most = HIDDEN_OUTPUT_TOKENS if is_small else most_output_tokens(request, delivered)
    reasoning_tokens = reported.reasoning_tokens
    if output_tokens and output_tokens > most and reported.hidden_tokens:
        # The total is at fault, not the output beside it.
        doubts.add("total")
        output_tokens -= reported.hidden_tokens
        reasoning_tokens = max(reasoning_tokens - reported.hidden_tokens, 0)
    if output_tokens and output_tokens > most:
        doubts.add("output")
        output_tokens = None
    if is_total_only and not _can_be_input((total_tokens or 0) - most, request):
        doubts.add("total")
        is_total_only = False
    has_input, whole = input_tokens is not None and reported.input_tokens is not None, output_tokens or 0
    return BelievedUsage(
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        total_tokens=total_tokens if is_total_only else None,
        cached_tokens=reported.cached_tokens if has_input else 0,
        cache_write_tokens=reported.cache_write_tokens if has_input else 0,
        long_cache_write_tokens=reported.long_cache_write_tokens if has_input else 0,
        input_audio_tokens=reported.input_audio_tokens if has_input else 0,
        cached_audio_tokens=reported.cached_audio_tokens if has_input else 0,
        reasoning_tokens=min(reasoning_tokens, whole),
        output_audio_tokens=min(reported.output_audio_tokens, whole),
        disbelieved=tuple(sorted(doubts)),
    )


def _is_usual(reported: ReportedUsage, request: CallRequest) -> bool:
    """Whether each count of a response is so small that it is plausible for every request of this length."""
    output_tokens = reported.output_tokens
    return bool(
        reported.input_tokens
        and output_tokens
        and output_tokens <= HIDDEN_OUTPUT_TOKENS
        and reported.input_tokens - len(request.body) <= INPUT_ALLOWANCE_TOKENS
        and reported.reasoning_tokens <= output_tokens
        and reported.output_audio_tokens <= output_tokens
        and not reported.nonsense
        and request.operation == "chat"
    )


def is_plain(reported: ReportedUsage, request: CallRequest) -> bool:
    """Whether a response has a plausible input and output, and nothing else is reported."""
    input_tokens, output_tokens = reported.input_tokens, reported.output_tokens
    return bool(
        input_tokens
        and output_tokens
        and output_tokens <= HIDDEN_OUTPUT_TOKENS
        and input_tokens - len(request.body) <= INPUT_ALLOWANCE_TOKENS
        and not (
            reported.cached_tokens
            or reported.cache_write_tokens
            or reported.reasoning_tokens
            or reported.input_audio_tokens
            or reported.output_audio_tokens
            or reported.nonsense
        )
        and reported.cost_nanousd is None
        and request.operation == "chat"
    )


def most_output_tokens(request: CallRequest, delivered: Delivered) -> int:
    """Return the most tokens that a response can have."""
    limit = output_limit(request)
    if limit is not None:
        per_choice = min(limit + HIDDEN_OUTPUT_TOKENS, MOST_OUTPUT_TOKENS)
    else:
        in_time = int(MOST_TOKENS_PER_SECOND * delivered.seconds)
        per_choice = min(max(UNLIMITED_OUTPUT_TOKENS, in_time), MOST_OUTPUT_TOKENS)
    # Not the choices that the caller requested: a huge `n` would make every report plausible.
    choices = max(1, min(delivered.choices, MOST_CHOICES))
    return delivered.text_units // UNITS_PER_BYTE + per_choice * choices


def output_limit(request: CallRequest) -> int | None:
    """Return how many output tokens the caller allows for each choice; None where it sets no limit."""
    return max((limit for name in _LIMITS if (limit := _whole(request.number(name))) is not None), default=None)


def requested_choices(request: CallRequest) -> int:
    """Return how many choices the caller requested."""
    return min(_whole(request.number("n")) or 1, MOST_CHOICES)


def _can_be_input(tokens: int, request: CallRequest) -> bool:
    """Whether a request can have this many tokens: one per byte, and an allowance for what is not in its body."""
    beyond = tokens - len(request.body)
    if beyond <= INPUT_ALLOWANCE_TOKENS:
        return True
    return beyond <= REFERRED_ALLOWANCE_TOKENS and any(word in request.body for word in _REFERRING)


def _whole(value: object) -> int | None:
    """Return a positive number as an integer; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 10**12:
        return None
    return int(value)
