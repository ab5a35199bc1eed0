"""Estimates what abandoned work may still cost: output that a provider may go on to generate, and bill, after its response was dropped.

The prompt and what was delivered are in the cost. The rest is an estimate that is in no cost and no
credits: the limit that the caller set, else an assumed one; docs/costs.md has the cases.
"""

from typing import Final

from app.gateway.openai.plausible_usage import output_limit, requested_choices
from app.gateway.openai.request import CallRequest
from app.gateway.pricing import Price, Tokens
from otel.events.usage import Usage

ASSUMED_OUTPUT_TOKENS: Final = 4_096
"""Per choice, where the caller set no limit; at least as much again as was delivered."""

MOST_OUTPUT_TOKENS: Final = 128_000
"""Per choice, whatever limit was set: the longest output that providers offer."""


def exposure_nanousd(usage: Usage, request: CallRequest, price: Price) -> int:
    """Return what the rest of an output may cost; 0 without a price, and for embeddings, which have no output."""
    if request.operation == "embeddings" or not price.is_known:
        return 0
    whole = most_output_tokens(request, usage.output_tokens)
    so_far = price.cost_nanousd(Tokens(usage.input_tokens, usage.output_tokens))
    return price.cost_nanousd(Tokens(usage.input_tokens, whole)) - so_far


def most_output_tokens(request: CallRequest, delivered: int = 0) -> int:
    """Return how long the output may become, which is never less than what was delivered."""
    limit = output_limit(request)
    choices = requested_choices(request)
    if limit is not None:
        return max(min(limit, MOST_OUTPUT_TOKENS) * choices, delivered)
    return max(ASSUMED_OUTPUT_TOKENS * choices, 2 * delivered)
