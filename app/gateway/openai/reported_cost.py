"""Reads the cost that a provider reports with a response, in whole nano-US-dollars.

Input: the undecoded fields about money of a `usage` object. Output: one amount, or None; a figure
that cannot be one is ignored and named. Known: OpenRouter's `cost`, with `cost_details` where the
gateway's own key pays the upstream, Perplexity's object, xAI's ticks, DeepInfra's `estimated_cost`.
"""

import re
from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal
from typing import Final

import msgspec

from otel.events.usage import DisbelievedCount

MOST_USD: Final = 10_000
"""Of one attempt: more than a million output tokens cost anywhere."""

_NUMBER: Final = re.compile(rb"[0-9]{1,20}(?:\.[0-9]{1,40})?(?:[eE][+-]?[0-9]{1,2})?")
_NANO_DIGITS: Final = 9
_TICK_DIGITS: Final = 10
"""xAI counts in ten-billionths of a US dollar."""


class _Object(msgspec.Struct, gc=False):
    total_cost: msgspec.Raw = msgspec.Raw()


class _Details(msgspec.Struct, gc=False):
    upstream_inference_cost: msgspec.Raw = msgspec.Raw()


_OBJECT: Final = msgspec.json.Decoder(_Object)
_DETAILS: Final = msgspec.json.Decoder(_Details)


def cost_nanousd(costs: Mapping[str, bytes], nonsense: set[DisbelievedCount]) -> int | None:
    """Return the cost, rounded half up; what cannot be one is added to `nonsense`."""
    try:
        usd = _usd(costs)
        if usd is None:
            return None
        if usd <= MOST_USD:
            return int(usd.scaleb(_NANO_DIGITS).to_integral_value(ROUND_HALF_UP))
    except ValueError:
        pass
    nonsense.add("cost")
    return None


def _usd(costs: Mapping[str, bytes]) -> Decimal | None:
    """Return the figure in US dollars; raises ValueError for what is none."""
    if (cost := costs.get("cost")) is not None:
        if cost.startswith(b"{"):
            total = bytes(_OBJECT.decode(cost).total_cost)
            return None if total in {b"", b"null"} else _number(total)
        return _with_upstream(_number(cost), costs)
    if (ticks := costs.get("cost_in_usd_ticks")) is not None:
        return _number(ticks).scaleb(-_TICK_DIGITS)
    if (estimated := costs.get("estimated_cost")) is not None:
        return _number(estimated)
    return None


def _with_upstream(cost: Decimal, costs: Mapping[str, bytes]) -> Decimal:
    """Return OpenRouter's cost; where the upstream bills a key of one's own, that is its fee alone, and the upstream's bill is beside it."""
    if "cost_details" not in costs:
        return cost
    raw = bytes(_DETAILS.decode(costs["cost_details"]).upstream_inference_cost)
    if raw in {b"", b"null"}:
        return cost
    upstream = _number(raw)
    is_byok = costs.get("is_byok")
    # Without the mark: OpenRouter never charges less than the upstream unless the upstream is paid by itself.
    return cost + upstream if is_byok == b"true" or (is_byok is None and upstream > cost) else cost


def _number(raw: bytes) -> Decimal:
    """Return a number that is not negative; raises ValueError for anything else. Decimal digits stay exact."""
    if _NUMBER.fullmatch(raw) is None:
        raise ValueError("not an amount")
    return Decimal(raw.decode())
