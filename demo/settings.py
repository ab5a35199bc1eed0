"""Reads the settings of a run from the environment: DEMO_SECONDS, PORT, SPEED, SEED, SCENARIO, CONSOLE_PORT, DEMO_ALL."""

import math
from collections.abc import Mapping
from typing import Final

import msgspec

from demo.console import has_endpoint
from demo.scenarios import SCENARIOS, Scenario
from demo.traffic.arrivals import DEFAULT_SPEED

DEFAULT_PORT: Final = 8_000
_MAX_PORT: Final = 65_535
_MAX_SEED: Final = 2**63 - 1


class SettingError(ValueError):
    """An environment variable is invalid; the message names it and what it takes."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings. `seconds` None: until Ctrl-C. `scenario` None: the default traffic. `shows_all`: print equal lines, too.

    `console_port` None: the default one, or any free one where that is in use.
    `has_endpoint`: telemetry goes elsewhere, and no console is started.
    """

    seconds: float | None
    port: int
    speed: float
    seed: int
    scenario: Scenario | None = None
    shows_all: bool = False
    console_port: int | None = None
    has_endpoint: bool = False


def read_settings(environ: Mapping[str, str], *, new_seed: int) -> Settings:
    """Read the environment; an empty variable is unset. Raises `SettingError`."""
    return Settings(
        seconds=_positive(environ, "DEMO_SECONDS", "seconds"),
        port=_whole(environ, "PORT", DEFAULT_PORT, _MAX_PORT),
        speed=_positive(environ, "SPEED", "times the trace's own pace") or DEFAULT_SPEED,
        seed=_whole(environ, "SEED", new_seed, _MAX_SEED),
        scenario=_scenario(environ),
        shows_all=_flag(environ, "DEMO_ALL"),
        console_port=_whole(environ, "CONSOLE_PORT", 0, _MAX_PORT) if environ.get("CONSOLE_PORT", "").strip() else None,
        has_endpoint=has_endpoint(environ),
    )


def _scenario(environ: Mapping[str, str]) -> Scenario | None:
    name = environ.get("SCENARIO", "").strip()
    if not name:
        return None
    if name not in SCENARIOS:
        raise SettingError(f"SCENARIO takes one of {', '.join(SCENARIOS)}")
    return SCENARIOS[name]


def _flag(environ: Mapping[str, str], name: str) -> bool:
    text = environ.get(name, "").strip() or "0"
    if text not in {"0", "1"}:
        raise SettingError(f"{name} takes 1 or 0")
    return text == "1"


def _whole(environ: Mapping[str, str], name: str, default: int, highest: int) -> int:
    text = environ.get(name, "").strip()
    if not text:
        return default
    if not (text.isascii() and text.isdigit()) or int(text) > highest:
        raise SettingError(f"{name} takes a whole number from 0 to {highest}")
    return int(text)


def _positive(environ: Mapping[str, str], name: str, unit: str) -> float | None:
    text = environ.get(name, "").strip()
    if not text:
        return None
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not (number > 0 and math.isfinite(number)):
        raise SettingError(f"{name} takes a number above 0: {unit}")
    return number
