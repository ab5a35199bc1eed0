"""Reads `dashboards/rules/settings.toml`: the objectives, and where the runbooks are."""

import re
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit

import msgspec

from otel.catalogue.inference import FIRST_TOKEN_BUCKETS_SECONDS

PATH: Final = Path(__file__).parents[1] / "rules" / "settings.toml"

_BASE_URL: Final = re.compile(r"^runbook_base_url = .*$", re.MULTILINE)

Share = Annotated[float, msgspec.Meta(gt=0.0, lt=1.0)]
Positive = Annotated[float, msgspec.Meta(gt=0.0)]


class SettingsError(ValueError):
    """The settings are invalid; the message says which key, and what it may be."""


class Availability(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The share of requests without a 5xx status."""

    objective: Share


class FirstToken(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The share of streams whose first token comes within a bucket's bound."""

    objective: Share
    within_seconds: Positive


class Cost(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What providers may charge in 30 days."""

    usd_per_30_days: Positive


class Guard(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many failures an alert of an objective needs."""

    least_bad_events: Annotated[int, msgspec.Meta(ge=0)]


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file."""

    runbook_base_url: str
    availability: Availability
    first_token: FirstToken
    cost: Cost
    guard: Guard


def read_settings(path: Path = PATH) -> Settings:
    """Return the settings; raises `SettingsError` with one line."""
    try:
        text = path.read_text(encoding="utf-8-sig")  # editors of Windows begin a file with a byte order mark
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path.name}: {error}") from error
    return _parsed(text, path.name)


def write_runbook_base_url(base_url: str, path: Path = PATH) -> None:
    """Set the address of the runbooks in the file, and nothing else; raises `SettingsError` where it is no address."""
    text = _BASE_URL.sub(lambda _: f'runbook_base_url = "{base_url}"', path.read_text(encoding="utf-8-sig"), count=1)
    if _parsed(text, path.name).runbook_base_url != base_url:
        raise SettingsError(f"{path.name}: runbook_base_url must be an http or https address that ends in /")
    path.write_text(text, encoding="utf-8")


def _parsed(text: str, name: str) -> Settings:
    try:
        settings = msgspec.toml.decode(text, type=Settings)
    except msgspec.DecodeError as error:
        raise SettingsError(f"{name}: {error}") from error
    address = urlsplit(settings.runbook_base_url)
    is_address = address.scheme in {"http", "https"} and address.netloc and address.path.endswith("/")
    if not is_address or re.search(r"\s", settings.runbook_base_url):
        raise SettingsError(f"{name}: runbook_base_url must be an http or https address that ends in /")
    if settings.first_token.within_seconds not in FIRST_TOKEN_BUCKETS_SECONDS:
        bounds = ", ".join(f"{bound:g}" for bound in FIRST_TOKEN_BUCKETS_SECONDS)
        raise SettingsError(f"{name}: first_token.within_seconds must be one of {bounds}")
    return settings
