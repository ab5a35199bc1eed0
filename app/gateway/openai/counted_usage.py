"""The tokens and the cost of one attempt: the provider's usage where it is plausible, else an estimate."""

import logging
from typing import Final

from app.gateway.openai.input_estimate import estimated_input_tokens
from app.gateway.openai.plausible_usage import Delivered, believe
from app.gateway.openai.request import CallRequest
from app.gateway.openai.text_units import tokens_of
from app.gateway.openai.usage import ReportedUsage
from app.gateway.pricing import Price
from otel.events import Usage

_LOGGER: Final = logging.getLogger("gatewayz.usage")


def counted_usage(reported: ReportedUsage | None, request: CallRequest, price: Price, delivered: Delivered) -> Usage:
    """Count and price one attempt."""
    believed = believe(reported or ReportedUsage(), request, delivered)
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
    cost = price.cost_nanousd(input_tokens, output_tokens, believed.cached_tokens)
    return Usage(
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        estimated=is_estimated,
        disbelieved=believed.disbelieved,
        cost_nanousd=cost,
        credits_nanousd=price.credits_nanousd(cost),
    )


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
