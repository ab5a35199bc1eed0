"""Reads `dashboards/rules/settings.toml`: where the runbooks are."""

from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec

PATH: Final = Path(__file__).parents[1] / "rules" / "settings.toml"


class SettingsError(ValueError):
    """The settings are invalid; the message says which key, and what it may be."""


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file."""

    runbook_base_url: str


def read_settings(path: Path = PATH) -> Settings:
    """Return the settings; raises `SettingsError` with one line."""
    try:
        settings = msgspec.toml.decode(path.read_text(encoding="utf-8"), type=Settings)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path.name}: {error}") from error
    address = urlsplit(settings.runbook_base_url)
    if address.scheme not in {"http", "https"} or not address.netloc or not address.path.endswith("/"):
        raise SettingsError(f"{path.name}: runbook_base_url must be an http or https address that ends in /")
    return settings
