"""Looks up targets in the price catalogue of the package `genai-prices`; a program of its own, which `price_catalogue.py` runs.

The package's data take 100 MB once they are imported, and the gateway needs a few numbers of them:
so this process reads them and ends. Input: JSON on stdin. Output: JSON on stdout; exit code 3
where the package is not installed. It imports nothing of the gateway and opens no connection.
"""

import importlib
import importlib.metadata
import json
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

NOT_INSTALLED: Final = 3

_COMPONENTS: Final = {
    "input_mtok": "input",
    "cache_read_mtok": "cached_input",
    "cache_write_mtok": "cache_write",
    "cache_write_5m_mtok": "cache_write",
    "cache_write_1h_mtok": "cache_write_1h",
    "output_mtok": "output",
    "output_reasoning_mtok": "reasoning",
    "input_audio_mtok": "audio_input",
    "output_audio_mtok": "audio_output",
    "requests_kcount": "request",
}
"""The catalogue's price keys, and what this gateway calls them. All others are for what it does not count."""
_THOUSAND: Final = 1_000


def read_catalogue(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the catalogue has of each target, None where it has nothing."""
    snapshot = importlib.import_module("genai_prices.data_snapshot").get_snapshot()
    now = datetime.fromtimestamp(request["unix_seconds"], UTC)
    return {
        "version": importlib.metadata.version("genai-prices"),
        "found": [_look_up(snapshot, target, now) for target in request["targets"]],
    }


def _look_up(snapshot: Any, target: Mapping[str, Any], now: datetime) -> dict[str, Any] | None:
    """Return the prices of one target."""
    name, address = target["provider"], target["base_url"]
    try:
        provider, model = snapshot.find_provider_model(target["model"], None, name, None if name else address)
    except LookupError:
        return None
    prices, notes = _current(model.prices, now)
    given = {key: value for key, value in vars(prices).items() if value is not None and not key.startswith("_")}
    rates = {_COMPONENTS[key]: value for key, value in given.items() if key in _COMPONENTS}
    others = sorted(key for key in given if key not in _COMPONENTS)
    if others:
        notes.append(f"not counted: {', '.join(others)}")
    starts = {0, *(tier.start for value in rates.values() for tier in getattr(value, "tiers", ()))}
    return {
        "name": f"{provider.id}/{model.id}",
        "rates": [
            {"above_input_tokens": start} | {name: _at(name, value, start) for name, value in rates.items()}
            for start in sorted(starts)
        ],
        "notes": notes,
    }


def _at(name: str, value: Any, start: int) -> str:
    """Return one price for requests with more input than `start`, as a decimal number."""
    price = value
    if hasattr(value, "tiers"):
        price = value.base
        for tier in value.tiers:
            if tier.start <= start and start > 0:
                price = tier.price
    return str(price / _THOUSAND if name == "request" else price)


def _current(prices: Any, now: datetime) -> tuple[Any, list[str]]:
    """Return the prices of today; where one varies with the time of day, the highest, so that no cost is understated."""
    if not isinstance(prices, list):
        return prices, []
    candidates = []
    for conditional in reversed(prices):
        constraint = conditional.constraint
        if constraint is not None and hasattr(constraint, "start_time"):
            candidates.append(conditional.prices)
        elif constraint is None or constraint.active(now):
            candidates.append(conditional.prices)
            break
    if not candidates:
        return prices[0].prices, []
    notes = ["varies with the time of day: the highest price counts"] if len(candidates) > 1 else []
    return max(candidates, key=_height), notes


def _height(prices: Any) -> tuple[Any, Any]:
    def base(key: str) -> Any:
        value = vars(prices).get(key) or 0
        return getattr(value, "base", value)

    return base("output_mtok"), base("input_mtok")


if __name__ == "__main__":
    try:
        reply = read_catalogue(json.load(sys.stdin))
    except ModuleNotFoundError:
        sys.exit(NOT_INSTALLED)
    json.dump(reply, sys.stdout)
