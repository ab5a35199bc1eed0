"""CONFIG LOAD: from the TOML file to a checked `AppConfig`, and from variable names to secrets.

Comes in: a path, later the environment. Goes out: frozen structs, or a `ConfigError` of one line that names the file, the key,
what was found and what is allowed. It must never quote a value that could be a secret. The rules of meaning are in
`app/config_checks.py`.
"""

import difflib
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import msgspec

from app.config import AppConfig
from app.config_checks import check_config, check_url_scheme
from app.config_rules import Finding

CONFIG_VARIABLE = "GATEWAYZ_CONFIG"
_MAX_SHOWN_CHARS = 60
_STEP = re.compile(r"\.?([^.\[\]]+)|\[(\d+)\]")
_SECRET_KEYS = frozenset({"url", "base_url"})


class ConfigError(Exception):
    """The configuration cannot be used; `str()` is one line for the person who wrote it."""


class Secrets(msgspec.Struct, frozen=True, kw_only=True):
    """What the configuration names by environment variable, resolved. Its repr shows no value.

    `provider_keys` maps provider names to API keys; a provider without `api_key_env` is not in it.
    """

    database_url: str
    cache_url: str | None
    monitoring_token: str | None
    provider_keys: Mapping[str, str]

    def __repr__(self) -> str:
        return f"Secrets(provider_keys of {sorted(self.provider_keys)})"


def load_config(path: Path | str) -> AppConfig:
    """Read, convert and check the file; raises `ConfigError`."""
    path = Path(path)
    raw = _read_toml(path)
    try:
        config = msgspec.convert(raw, AppConfig)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{path}: {_explain(str(error), raw)}") from None
    finding = check_config(config)
    if finding is not None:
        raise ConfigError(f"{path}: {_say(finding)}")
    return config


def resolve_secret(variable: str, key_path: str, environ: Mapping[str, str]) -> str:
    """Return the value of an environment variable that the key at `key_path` names; raises `ConfigError` when it has none."""
    value = environ.get(variable, "").strip()
    if not value:
        state = "is empty" if variable in environ else "is not set"
        raise ConfigError(f"environment variable {variable} {state}; {key_path} names it: set it, or remove the key")
    if not value.isprintable():
        raise ConfigError(
            f"environment variable {variable}, named by {key_path}, holds characters that are not printable"
        )
    return value


def resolve_secrets(config: AppConfig, environ: Mapping[str, str]) -> Secrets:
    """Resolve every variable that the configuration names, at start; raises `ConfigError` for the first that has no value."""
    monitoring = config.monitoring.token_env
    return Secrets(
        database_url=resolve_database_url(config, environ),
        cache_url=_resolve_url(config.cache.url, config.cache.url_env, "cache", environ),
        monitoring_token=resolve_secret(monitoring, "monitoring.token_env", environ)
        if monitoring is not None
        else None,
        provider_keys={
            provider.name: resolve_secret(provider.api_key_env, f"providers[{index}].api_key_env", environ)
            for index, provider in enumerate(config.providers)
            if provider.api_key_env is not None
        },
    )


def resolve_database_url(config: AppConfig, environ: Mapping[str, str]) -> str:
    """Return the database's URL alone, for tools that need no other secret; raises `ConfigError`."""
    return _resolve_url(config.database.url, config.database.url_env, "database", environ) or config.database.url


def _resolve_url(url: str | None, variable: str | None, section: str, environ: Mapping[str, str]) -> str | None:
    """The variable wins over the key beside it, because `database.url` has a default."""
    if variable is None:
        return url
    value = resolve_secret(variable, f"{section}.url_env", environ)
    finding = check_url_scheme(f"environment variable {variable} ({section}.url_env)", value, section)
    if finding is not None:
        raise ConfigError(_say(finding))
    return value


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(
            f"{path}: no such file; set {CONFIG_VARIABLE} or pass --config, and start from gatewayz.example.toml"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not UTF-8 text"
        raise ConfigError(f"{path}: cannot be read: {reason}; {CONFIG_VARIABLE} or --config names the file") from None
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not valid TOML: {_one_line(str(error))}") from None


def _say(finding: Finding) -> str:
    return _one_line(f"{finding.key_path}: {finding.found}; allowed: {finding.allowed}")


def _explain(message: str, raw: dict[str, Any]) -> str:
    """Turn msgspec's message, whose path starts at `$`, into ours."""
    problem, _, path = message.partition(" - at `$")
    path = path.removesuffix("`").removeprefix(".")
    unknown = re.fullmatch(r"Object contains unknown field `(.*)`", problem, re.DOTALL)
    missing = re.fullmatch(r"Object missing required field `(.*)`", problem, re.DOTALL)
    if unknown:
        known = _known_fields(path)
        close = difflib.get_close_matches(unknown[1], known, n=1, cutoff=0.7)
        hint = f" (did you mean {close[0]}?)" if close else ""
        return _one_line(f"{_join(path, unknown[1])}: unknown key{hint}; allowed: {', '.join(known)}")
    if missing:
        return _one_line(f"{_join(path, missing[1])}: missing; this key is required")
    expected = re.match(r"Expected `(.*?)`", problem)
    allowed = expected[1].replace("object", "table").replace(" | null", "") if expected else problem
    return _one_line(f"{path or 'the file'}: found {_show(path, _value_at(raw, path))}; allowed: {allowed}")


def _known_fields(path: str) -> list[str]:
    """The keys of the table at `path`, by walking the structs."""
    struct: Any = AppConfig
    for name, _ in _STEP.findall(path):
        if name:
            field = next(field for field in msgspec.structs.fields(struct) if field.name == name)
            struct = (get_args(field.type) or (field.type,))[0]
    return [field.name for field in msgspec.structs.fields(struct)]


def _value_at(raw: Any, path: str) -> Any:
    for name, index in _STEP.findall(path):
        raw = raw[name] if name else raw[int(index)]
    return raw


def _show(path: str, value: Any) -> str:
    """Name the type, and the value too where it cannot be a secret."""
    kind = {
        dict: "a table",
        list: "an array",
        str: "a string",
        bool: "a boolean",
        int: "an integer",
        float: "a float",
    }.get(type(value), f"a {type(value).__name__}")
    key = path.rpartition(".")[2]
    if isinstance(value, dict | list) or key in _SECRET_KEYS or key.endswith("_env"):
        return kind
    shown = repr(value)
    return f"{kind}, {shown if len(shown) <= _MAX_SHOWN_CHARS else shown[:_MAX_SHOWN_CHARS] + '…'}"


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _one_line(text: str) -> str:
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())
