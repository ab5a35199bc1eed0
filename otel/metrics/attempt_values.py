"""The values of an attempt's series, made for many attempts at once: column by column, which costs a fraction of event by event."""

from collections.abc import Sequence
from typing import Any, TypeAlias

from otel.events import AttemptFinished
from otel.events.usage import NANO, Usage

_Column: TypeAlias = Sequence[Any]


def attempt_values(event: AttemptFinished, usage: Usage) -> tuple[Any, ...]:
    """Return what the measurements of an attempt are made of."""
    return (
        event.response_seconds,
        event.duration_seconds,
        event.first_token_seconds,
        event.longest_gap_seconds,
        event.pool_wait_seconds,
        usage.input_tokens,
        usage.output_tokens,
        usage.credits_nanousd,
        usage.cost_nanousd,
    )


def attempt_columns(read: Sequence[_Column]) -> Sequence[_Column]:
    """Return the values of the series of successful attempts, from the `attempt_values` of each."""
    durations, first_tokens, output = read[1], read[2], read[6]
    rates: _Column = ()
    if first_tokens.count(None) != len(first_tokens):
        rates = list(map(_output_tokens_per_second, durations, first_tokens, output))
    return _columns(read, durations, rates)


def unsuccessful_attempt_columns(read: Sequence[_Column]) -> Sequence[_Column]:
    """Return the same of other attempts, which have neither a duration nor an output rate."""
    return _columns(read, (), ())


def _columns(read: Sequence[_Column], durations: _Column, rates: _Column) -> Sequence[_Column]:
    responses, _, first_tokens, gaps, pool_waits, input_tokens, output_tokens, credits_nanousd, costs_nanousd = read
    costs = [cost / NANO if cost else None for cost in costs_nanousd]
    return (
        responses,
        durations,
        first_tokens,
        gaps,
        pool_waits,
        [tokens or None for tokens in input_tokens],
        [tokens or None for tokens in output_tokens],
        [credit / NANO if credit else None for credit in credits_nanousd],
        costs,
        costs,
        rates,
    )


def _output_tokens_per_second(
    duration_seconds: float, first_token_seconds: float | None, output_tokens: int
) -> float | None:
    """Return the output rate of a successful stream, from its first token to its end.

    None without an interval. The first token marks the start of the interval, so the rate counts
    the tokens after it.
    """
    if first_token_seconds is None:
        return None
    interval_seconds = duration_seconds - first_token_seconds
    tokens = output_tokens - 1
    return tokens / interval_seconds if tokens > 0 and interval_seconds > 0 else None
