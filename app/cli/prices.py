"""`gatewayz prices`: lists what each target costs, and where the price comes from.

Prints a table or JSON on stdout. The exit code is 0, 1 where a target has no price or the price
catalogue cannot be read, 2 when the arguments are invalid.
"""

import argparse
import sys
import time
from collections.abc import Iterator, Mapping
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any, Final, TextIO

import msgspec

from app.config.load import ConfigError
from app.config.pricing_checks import has_price
from app.config.schema import AppConfig, ModelConfig, RouteConfig
from app.gateway.ports import Target
from app.gateway.price_catalogue import CataloguePrice, catalogue_prices
from app.gateway.pricing import UsdRates
from app.gateway.target_rates import rates_of

_COMPONENTS: Final = {
    "input": "input",
    "cached_input": "cached",
    "cache_write": "write",
    "cache_write_1h": "write 1h",
    "output": "output",
    "reasoning": "reasoning",
    "audio_input": "audio in",
    "audio_output": "audio out",
    "request": "request",
}
_ALWAYS: Final = ("input", "output")


def add_prices_parser(
    subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]", common: argparse.ArgumentParser
) -> None:
    """Add `prices` with its options."""
    parser = subparsers.add_parser(
        "prices",
        parents=[common],
        help="list what each target costs, and where the price comes from",
        description="Prices are in US dollars per million tokens, and per request. Exit code: 1 where a target has none.",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run_prices(
    args: argparse.Namespace,
    config: AppConfig,
    *,
    unix_seconds: float | None = None,
    stdout: TextIO | None = None,
    stderr: TextIO | None = None,
) -> int:
    """Run the command and return the exit code."""
    try:
        catalogue = catalogue_prices(config, time.time() if unix_seconds is None else unix_seconds)
    except ConfigError as error:
        print(f"prices: {error}", file=stderr or sys.stderr)
        return 1
    entries = [_entry(model, route, catalogue, config) for model in config.models for route in model.routes]
    if args.json:
        text = msgspec.json.format(msgspec.json.encode(entries), indent=2).decode()
    else:
        text = "\n".join(_table(entries))
    print(text, file=stdout or sys.stdout)
    return 1 if any(each["source"] == "unpriced" for each in entries) else 0


def _entry(
    model: ModelConfig, route: RouteConfig, catalogue: Mapping[Target, CataloguePrice], config: AppConfig
) -> dict[str, Any]:
    """Return what is known of one target; prices as decimal text, exact."""
    found = catalogue.get((route.provider, route.upstream_model))
    rates = rates_of(route, catalogue)
    trusting = {provider.name for provider in config.providers if provider.trust_reported_cost}
    own = route.trust_reported_cost
    if has_price(route):
        source = "configuration"
    elif found is not None:
        source = f"genai-prices {found.version}: {found.name}"
    else:
        source = "unpriced"
    return {
        "model": model.name,
        "provider": route.provider,
        "upstream_model": route.upstream_model,
        "source": source,
        "trusts_reported_cost": route.provider in trusting if own is None else own,
        "prices": [_prices(each) for each in rates],
        "notes": [] if found is None or has_price(route) else list(found.notes),
    }


def _prices(rates: UsdRates) -> dict[str, Any]:
    given = {name: getattr(rates, name) for name in _COMPONENTS}
    prices: dict[str, Any] = {name: _decimal(value) for name, value in given.items() if value is not None}
    return {"above_input_tokens": rates.above_input_tokens} | prices


def _decimal(value: Fraction) -> str:
    """Return a price as a decimal number; every price was one."""
    with localcontext() as context:
        context.prec = 60
        return f"{(Decimal(value.numerator) / Decimal(value.denominator)).normalize():f}"


def _table(entries: list[dict[str, Any]]) -> Iterator[str]:
    """Return the lines of the table: one per target and tier, and the notes below."""
    if not entries:
        yield "no models are configured"
        return
    used = [
        name
        for name in _COMPONENTS
        if name in _ALWAYS or any(name in tier for each in entries for tier in each["prices"])
    ]
    rows = [["model", "provider", "upstream model", *(_COMPONENTS[name] for name in used), "source"]]
    for entry in entries:
        for index, tier in enumerate(entry["prices"] or [{}]):
            above = tier.get("above_input_tokens", 0)
            names = (
                [entry["model"], entry["provider"], entry["upstream_model"]]
                if index == 0
                else ["", "", f"above {above:,}"]
            )
            source = entry["source"] + (", or as reported" if entry["trusts_reported_cost"] else "")
            rows.append([*names, *(tier.get(name, "-") for name in used), source if index == 0 else ""])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
    yield ""
    yield "US dollars per million tokens; - costs as all input or as all output"
    for entry in entries:
        for note in entry["notes"]:
            yield f"{entry['upstream_model']} at {entry['provider']}: {note}"
