"""The prices of targets whose provider has `prices = "catalogue"`, from the dated data of the package `genai-prices`.

Read once, at the start, by a child process that ends before the first request; compiled to the
same exact integers as configured prices. A configured price replaces the catalogue's.
"""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import msgspec

from app.config.load import ConfigError
from app.config.pricing_checks import has_price
from app.config.schema import AppConfig
from app.gateway import read_price_catalogue
from app.gateway.ports import Target
from app.gateway.pricing import UsdRates

_SECONDS: Final = 60.0
_VARIABLES: Final = ("PATH", "LD_LIBRARY_PATH", "PYTHONPATH", "PYTHONPYCACHEPREFIX", "LANG", "SYSTEMROOT")
"""What the process gets of the environment, which holds secrets."""


class CataloguePrice(msgspec.Struct, frozen=True, kw_only=True):
    """What the catalogue has of a target. `name` is the catalogue's; `rates` are those of `price_of`; `notes` are for people."""

    name: str
    version: str
    rates: tuple[UsdRates, ...]
    notes: tuple[str, ...] = ()


class _Found(msgspec.Struct):
    name: str
    rates: list[dict[str, Any]]
    notes: list[str]


class _Reply(msgspec.Struct):
    version: str
    found: list[_Found | None]


def catalogue_prices(config: AppConfig, unix_seconds: float) -> dict[Target, CataloguePrice]:
    """Return the catalogue's prices by target; raises `ConfigError` where the package is not installed. Blocks for some seconds.

    Targets with a price in the configuration are not looked up. Without any provider that wants it
    nothing is read.
    """
    wanted = _wanted(config)
    if not wanted:
        return {}
    targets = list(wanted)
    reply = _read([wanted[target] for target in targets], unix_seconds)
    return {
        target: CataloguePrice(
            name=found.name,
            version=reply.version,
            rates=tuple(_rates(each) for each in found.rates),
            notes=tuple(found.notes),
        )
        for target, found in zip(targets, reply.found, strict=True)
        if found is not None
    }


def _wanted(config: AppConfig) -> dict[Target, dict[str, str | None]]:
    providers = {provider.name: provider for provider in config.providers if provider.prices == "catalogue"}
    return {
        (route.provider, route.upstream_model): {
            "provider": providers[route.provider].catalogue_provider,
            "base_url": providers[route.provider].base_url,
            "model": route.catalogue_model or route.upstream_model,
        }
        for model in config.models
        for route in model.routes
        if route.provider in providers and not has_price(route)
    }


def _read(targets: Sequence[Mapping[str, str | None]], unix_seconds: float) -> _Reply:
    """Run the process that reads the package."""
    command = [sys.executable, "-P", str(Path(read_price_catalogue.__file__))]
    request = msgspec.json.encode({"unix_seconds": unix_seconds, "targets": targets})
    environ = {name: os.environ[name] for name in _VARIABLES if name in os.environ}
    try:
        done = subprocess.run(  # noqa: S603  this interpreter, a file of the gateway
            command, input=request, capture_output=True, timeout=_SECONDS, check=False, env=environ
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConfigError(f'prices = "catalogue": the price catalogue cannot be read: {type(error).__name__}') from None
    if done.returncode == read_price_catalogue.NOT_INSTALLED:
        raise ConfigError('prices = "catalogue" needs the package genai-prices: install the extra `catalogue`')
    try:
        return msgspec.json.decode(done.stdout, type=_Reply)
    except msgspec.DecodeError:
        reason = done.stderr.decode(errors="replace").strip().rpartition("\n")[2][:200]
        raise ConfigError(f'prices = "catalogue": the price catalogue cannot be read: {reason}') from None


def _rates(raw: Mapping[str, Any]) -> UsdRates:
    usd = {name: Fraction(value) for name, value in raw.items() if name != "above_input_tokens"}
    return UsdRates(**usd, above_input_tokens=raw["above_input_tokens"])
