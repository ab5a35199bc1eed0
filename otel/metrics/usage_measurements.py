"""Records of an attempt's usage what most attempts do not have, one line per metric."""

from collections.abc import Callable
from typing import Final, TypeAlias

from opentelemetry.context import Context

from otel.catalogue import inference, money, semconv
from otel.events.usage import NANO, Usage
from otel.metrics.label_set import LabelSet

Record: TypeAlias = Callable[[str, float, LabelSet, Context | None], None]

_DETAILS: Final = (
    ("cached", "cached_tokens"),
    ("cache_write", "cache_write_tokens"),
    ("reasoning", "reasoning_tokens"),
    ("audio_input", "input_audio_tokens"),
    ("audio_output", "output_audio_tokens"),
)


def record_details(record: Record, usage: Usage, route: LabelSet, context: Context) -> None:
    """Count the parts of the tokens, what was estimated, and the money beside the cost: all that `has_details` names."""
    for detail, field in _DETAILS:
        if tokens := getattr(usage, field):
            record(money.TOKEN_DETAILS, tokens, route.plus(semconv.TOKEN_DETAIL, detail), context)
    if usage.estimated:
        record(inference.ESTIMATED_USAGE, 1, route, context)
    for count in usage.disbelieved:
        record(inference.IMPLAUSIBLE_USAGE, 1, route.plus(semconv.TOKEN_TYPE, count), context)
    if usage.unpriced_tokens:
        record(money.UNPRICED_TOKENS, usage.unpriced_tokens, route, context)
    if usage.exposure_nanousd:
        record(money.EXPOSURE, usage.exposure_nanousd / NANO, route, context)
    if usage.reported_nanousd is not None:
        _compare(record, usage.reported_nanousd, usage.priced_nanousd, route, context)


def _compare(record: Record, reported: int, priced: int | None, route: LabelSet, context: Context) -> None:
    """Count by how much the provider's figure differs from the price, where both are known."""
    if priced is None or reported == priced:
        return
    direction = "over" if reported > priced else "under"
    difference = abs(reported - priced) / NANO
    record(money.REPORTED_COST_DIFFERENCE, difference, route.plus(semconv.DIRECTION, direction), context)
