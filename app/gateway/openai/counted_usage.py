"""The tokens and the cost of one attempt: the provider's usage where it is plausible, else an estimate."""

import logging
from typing import Final

from app.gateway.openai.input_estimate import estimated_input_tokens
from app.gateway.openai.plausible_usage import Delivered, believe, is_plain
from app.gateway.openai.request import CallRequest
from app.gateway.openai.text_units import tokens_of
from app.gateway.openai.usage import ReportedUsage
from app.gateway.pricing import Price, Tokens
from otel.events.usage import CostSource, Usage

_LOGGER: Final = logging.getLogger("gatewayz.usage")


def counted_usage(
    reported: ReportedUsage | None,
    request: CallRequest,
    price: Price,
    delivered: Delivered,
    *,
    trusts_cost: bool = False,
) -> Usage:
    """Count and price one attempt; `trusts_cost`: the provider's own figure is the cost."""
    if reported is not None and not delivered.uncounted_units and is_plain(reported, request):
        return _plain_usage(Tokens(reported.input_tokens or 0, reported.output_tokens or 0), price)
    reported = reported or ReportedUsage()
    believed = believe(reported, request, delivered)
    input_tokens, output_tokens = believed.input_tokens, believed.output_tokens
    is_estimated = input_tokens is None or output_tokens is None
    if input_tokens is None:
        input_tokens = estimated_input_tokens(request)
        if believed.total_tokens is not None:
            # The total is the provider's, its parts are not.
            input_tokens = min(input_tokens, believed.total_tokens)
            output_tokens = believed.total_tokens - input_tokens
    if output_tokens is None:
        output_tokens = tokens_of(delivered.text_units)
    elif delivered.uncounted_units:
        # The provider reported running usage, and its stream was cut off before the final usage.
        output_tokens += tokens_of(delivered.uncounted_units)
        is_estimated = True
    tokens = Tokens(
        input_tokens,
        output_tokens,
        believed.cached_tokens,
        believed.cache_write_tokens,
        believed.long_cache_write_tokens,
        believed.reasoning_tokens,
        believed.input_audio_tokens,
        believed.output_audio_tokens,
        believed.cached_audio_tokens,
    )
    priced = price.cost_nanousd(tokens)
    # A figure that came before the end of a stream is not that of all of it.
    figure = None if delivered.uncounted_units else reported.cost_nanousd
    unpriced = price.unpriced_tokens(tokens)
    cost, source = _cost(priced, figure if trusts_cost else None, unpriced, is_estimated=is_estimated)
    return Usage(
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        cached_tokens=tokens.cached_tokens,
        cache_write_tokens=tokens.cache_write_tokens,
        reasoning_tokens=tokens.reasoning_tokens,
        input_audio_tokens=tokens.input_audio_tokens,
        output_audio_tokens=tokens.output_audio_tokens,
        estimated=is_estimated,
        disbelieved=believed.disbelieved,
        cost_nanousd=cost,
        credits_nanousd=price.credits_nanousd(cost),
        cost_source=source if input_tokens or output_tokens or cost else None,
        reported_nanousd=figure,
        priced_nanousd=None if unpriced else priced,
        unpriced_tokens=unpriced if source == "unpriced" else 0,
    )


def _plain_usage(tokens: Tokens, price: Price) -> Usage:
    """Price input and output alone, as nearly every attempt reports them; the same as what is done step by step for others."""
    priced, unpriced = price.cost_nanousd(tokens), price.unpriced_tokens(tokens)
    return Usage(
        input_tokens=tokens.input_tokens,
        output_tokens=tokens.output_tokens,
        cost_nanousd=priced,
        credits_nanousd=price.credits_nanousd(priced),
        cost_source="unpriced" if unpriced else "priced",
        priced_nanousd=None if unpriced else priced,
        unpriced_tokens=unpriced,
    )


def _cost(priced: int, trusted: int | None, unpriced: int, *, is_estimated: bool) -> tuple[int, CostSource]:
    """Choose between the provider's figure, where it is trusted, and the price; a figure of 0 beside a price is none."""
    if trusted is not None and (trusted or not priced):
        return trusted, "reported"
    if unpriced:
        return priced, "unpriced"
    return priced, "estimated" if is_estimated else "priced"


def log_disbelieved(provider: str, model: str, reported: ReportedUsage | None, counted: Usage) -> None:
    """Write one warning for an attempt whose usage is not believed: numbers alone, nothing that the provider wrote."""
    _LOGGER.warning(
        "%s reports implausible usage: %s",
        provider,
        ", ".join(counted.disbelieved),
        extra={
            "provider": provider,
            "model": model,
            "reported_input_tokens": None if reported is None else reported.input_tokens,
            "reported_output_tokens": None if reported is None else reported.output_tokens,
            "counted_input_tokens": counted.input_tokens,
            "counted_output_tokens": counted.output_tokens,
        },
    )
