"""The settings of a console: where it listens, where its file is, how much it keeps."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from console.address import Address, AddressError, parse_address
from console.store.limits import MIB, MIN_BYTES, Limits

TOKEN_VARIABLE: Final = "GATEWAYZ_CONSOLE_TOKEN"  # noqa: S105  the name of a variable
DEFAULT_LISTEN: Final = "127.0.0.1:8100"
DEFAULT_OTLP: Final = "127.0.0.1:4318"
_MIN_TOKEN_CHARS: Final = 16
_TRACE_ID: Final = "{trace_id}"
_DURATIONS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_SIZES: Final = {"MiB": MIB, "GiB": 1_024 * MIB, "MB": 10**6, "GB": 10**9}
_MAX_RETENTION_SECONDS: Final = 366 * 86_400
_MAX_DIGITS: Final = 9


class SettingError(ValueError):
    """A setting is invalid; the message names it and what it takes."""


class ConsoleSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings.

    With a `token` the page needs it, and so does the OTLP endpoint where it is not on loopback.
    `host_names` are names by which browsers may reach the page. The links show a trace elsewhere;
    `{trace_id}` in them is replaced.
    """

    listen: Address
    otlp: Address
    data: Path
    limits: Limits
    token: str | None = None
    host_names: frozenset[str] = frozenset()
    grafana_link: str | None = None
    tempo_link: str | None = None


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """The command line's texts."""

    listen: str = DEFAULT_LISTEN
    otlp: str = DEFAULT_OTLP
    data: str | None = None
    retention: str = "24h"
    max_bytes: str = "1GiB"
    host_names: tuple[str, ...] = ()
    grafana_link: str | None = None
    tempo_link: str | None = None


def read_settings(options: Options, environ: Mapping[str, str]) -> ConsoleSettings:
    """Read the command line's texts and the environment; raises `SettingError`."""
    token = environ.get(TOKEN_VARIABLE) or None
    if token is not None and (len(token) < _MIN_TOKEN_CHARS or not token.isascii() or not token.isprintable()):
        raise SettingError(f"{TOKEN_VARIABLE} takes at least {_MIN_TOKEN_CHARS} printable ASCII characters")
    settings = ConsoleSettings(
        listen=_address(options.listen, "--listen"),
        otlp=_address(options.otlp, "--otlp"),
        data=Path(options.data) if options.data else default_path(environ),
        limits=Limits(retention_seconds=_duration(options.retention), max_bytes=_size(options.max_bytes)),
        token=token,
        host_names=frozenset(options.host_names),
        grafana_link=_link(options.grafana_link, "--grafana-link"),
        tempo_link=_link(options.tempo_link, "--tempo-link"),
    )
    for option, address in (("--listen", settings.listen), ("--otlp", settings.otlp)):
        if token is None and not address.is_loopback:
            raise SettingError(
                f"{option} {address.host} can be reached from other machines: set a token in {TOKEN_VARIABLE},"
                " or listen on 127.0.0.1"
            )
    return settings


def default_path(environ: Mapping[str, str]) -> Path:
    """Return the file in the user's cache folder (XDG Base Directory Specification): it has caps, and may be deleted."""
    folder = environ.get("XDG_CACHE_HOME", "")
    home = Path(folder) if folder.startswith("/") else Path(environ.get("HOME") or "/") / ".cache"
    return home / "gatewayz-observability" / "console.sqlite"


def _address(text: str, option: str) -> Address:
    try:
        return parse_address(text)
    except AddressError as error:
        raise SettingError(f"{option}: {error}") from None


def _link(template: str | None, option: str) -> str | None:
    if template is not None and not (template.startswith(("http://", "https://")) and _TRACE_ID in template):
        raise SettingError(f"{option} takes an http or https URL that contains {_TRACE_ID}")
    return template


def _duration(text: str) -> int:
    number, unit = text[:-1], text[-1:]
    seconds = int(number) * _DURATIONS.get(unit, 0) if _is_whole(number) else 0
    if not 0 < seconds <= _MAX_RETENTION_SECONDS:
        raise SettingError("--retention takes a time of up to a year, such as 90m, 24h or 7d")
    return seconds


def _size(text: str) -> int:
    for unit, factor in _SIZES.items():
        number = text.removesuffix(unit)
        if number != text and _is_whole(number):
            found = int(number) * factor
            break
    else:
        found = int(text) if _is_whole(text) else 0
    if found < MIN_BYTES:
        raise SettingError(f"--max-bytes takes a size of at least {MIN_BYTES // MIB}MiB, such as 512MiB or 1GiB")
    return found


def _is_whole(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS + 6
