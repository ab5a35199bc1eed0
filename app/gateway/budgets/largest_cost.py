"""The most that a call is expected to cost, which is reserved from its budgets before the first attempt.

The input is estimated from its text, a quarter added; the output is as long as the caller's limit, else
as in `app/gateway/exposure.py`. Every token has the highest price of its kind, at the most expensive target and
at the most expensive length of the input up to the estimate.
"""

import asyncio
from typing import Final

import msgspec

from app.gateway.exposure import most_output_tokens
from app.gateway.models import Model
from app.gateway.openai.input_estimate import estimated_input_tokens
from app.gateway.openai.request import CallRequest
from app.gateway.pricing import Price, Rates, Tokens

_LARGE_BODY_BYTES: Final = 64 * 1024


async def largest_cost_nanousd(request: CallRequest, model: Model) -> int:
    """Return the cost of one attempt at the most expensive target; 0 where no target has a price."""
    if len(request.body) > _LARGE_BODY_BYTES:
        # It takes long enough to delay other requests.
        estimate = await asyncio.to_thread(estimated_input_tokens, request)
    else:
        estimate = estimated_input_tokens(request)
    tokens = Tokens(
        input_tokens=-(-estimate * 5 // 4),
        output_tokens=0 if request.operation == "embeddings" else most_output_tokens(request),
    )
    return max((_largest_at(_dearest(route.price), tokens) for route in model.routes), default=0)


def _largest_at(price: Price, tokens: Tokens) -> int:
    """Return the most that so many tokens or fewer cost: a longer input may have lower rates."""
    shorter = [tier.above_input_tokens for tier in price.tiers if tier.above_input_tokens < tokens.input_tokens]
    lengths = [tokens.input_tokens, *shorter]
    return max(price.cost_nanousd(msgspec.structs.replace(tokens, input_tokens=length)) for length in lengths)


def _dearest(price: Price) -> Price:
    """Return a price at which every token has the highest price of its kind."""
    return msgspec.structs.replace(
        price, rates=_dearest_rates(price.rates), tiers=tuple(_dearest_rates(tier) for tier in price.tiers)
    )


def _dearest_rates(rates: Rates) -> Rates:
    return Rates(
        input=max(rates.input, rates.cached_input, rates.cache_write, rates.cache_write_1h, rates.audio_input),
        output=max(rates.output, rates.reasoning, rates.audio_output),
        request=rates.request,
        above_input_tokens=rates.above_input_tokens,
    )
