"""Loads the TOML file and the `GATEWAYZ_*` variables into a checked `AppConfig`, and resolves secrets.

A `ConfigError` is one line that names the file or variable, the key, what was found and what is
allowed. It never quotes a possible secret. The rules for values are in `app/config/checks.py`.
"""

import contextlib
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from app.config.checks import check_url_scheme, find_all
from app.config.explain import describe, explain, one_line
from app.config.routing_checks import is_proxy_url
from app.config.rules import check_variable
from app.config.schema import AppConfig
from app.config.variables import override

CONFIG_VARIABLE = "GATEWAYZ_CONFIG"


class ConfigError(Exception):
    """The configuration cannot be used; `str()` is one line for the person who wrote it."""


class Secrets(msgspec.Struct, frozen=True, kw_only=True):
    """The values of the environment variables that the configuration names. Its repr shows no value.

    `provider_keys` maps provider names to API keys; a provider without `api_key_env` is not in it.
    `provider_headers` and `provider_proxies` are likewise by provider; `proxies` are those of the
    environment, by scheme.
    """

    database_url: str
    cache_url: str | None
    monitoring_token: str | None
    provider_keys: Mapping[str, str]
    provider_headers: Mapping[str, Mapping[str, str]] = {}
    provider_proxies: Mapping[str, str] = {}
    proxies: Mapping[str, str] = {}

    def __repr__(self) -> str:
        return f"Secrets(provider_keys of {sorted(self.provider_keys)})"


def load_config(path: Path | str | None, environ: Mapping[str, str] | None = None) -> AppConfig:
    """Read, override, convert and check the file, or the variables alone; raises `ConfigError` for the first mistake."""
    config, mistakes = read_config(path, environ or {})
    if config is None or mistakes:
        raise ConfigError(mistakes[0])
    return config


def read_config(path: Path | str | None, environ: Mapping[str, str]) -> tuple[AppConfig | None, list[str]]:
    """Return the configuration where all of it has the schema's shape, and all mistakes.

    Without a path only variables and defaults count. Raises `ConfigError` where the file cannot be read.
    """
    raw = {} if path is None else _read_toml(Path(path))
    source = "the environment" if path is None else path
    variables, mistakes = override(raw, environ)

    def located(line: str) -> str:
        """Prefix a line with its source: the variable that set the key, or the file."""
        name = next(
            (each for key, each in variables.items() if line.startswith((f"{key}:", f"{key}[", f"{key}."))), None
        )
        return f"{source}: {line}" if name is None else f"environment variable {name}: {line}"

    try:
        config = msgspec.convert(raw, AppConfig)
    except msgspec.ValidationError as error:
        lines = dict.fromkeys([explain(str(error), raw), *_mistakes_of_shape(raw)])
        rest = _with_shape(raw)
        lines |= dict.fromkeys(describe(finding) for finding in find_all(rest))
        return None, [*mistakes, *map(located, lines), *find_missing_secrets(rest, environ)]
    return config, [*mistakes, *(located(describe(finding)) for finding in find_all(config))]


def resolve_secret(variable: str, key_path: str, environ: Mapping[str, str]) -> str:
    """Return the value of an environment variable that the key at `key_path` names; raises `ConfigError` when it has none."""
    value = environ.get(variable, "").strip()
    if finding := next(check_variable(key_path, variable), None):
        raise ConfigError(describe(finding))  # it may be the secret itself
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
        cache_url=resolve_cache_url(config, environ),
        monitoring_token=resolve_secret(monitoring, "monitoring.token_env", environ)
        if monitoring is not None
        else None,
        provider_keys={
            provider.name: resolve_secret(provider.api_key_env, f"providers[{index}].api_key_env", environ)
            for index, provider in enumerate(config.providers)
            if provider.api_key_env is not None
        },
        provider_headers={
            provider.name: {
                header: resolve_secret(variable, f"providers[{index}].headers_env.{header}", environ)
                for header, variable in provider.headers_env.items()
            }
            for index, provider in enumerate(config.providers)
            if provider.headers_env
        },
        provider_proxies={
            provider.name: _resolve_proxy(provider.proxy_env, f"providers[{index}].proxy_env", environ)
            for index, provider in enumerate(config.providers)
            if provider.proxy_env is not None
        },
        proxies=_proxies(environ),
    )


def find_missing_secrets(config: AppConfig, environ: Mapping[str, str]) -> Iterator[str]:
    """Return one line for each variable that the configuration names and that has no usable value."""
    bare = msgspec.structs.replace(config, providers=())
    parts = [msgspec.structs.replace(bare, cache=AppConfig().cache, monitoring=AppConfig().monitoring)]
    parts.append(msgspec.structs.replace(bare, database=AppConfig().database, monitoring=AppConfig().monitoring))
    parts.append(msgspec.structs.replace(bare, database=AppConfig().database, cache=AppConfig().cache))
    for part in parts:
        try:
            resolve_secrets(part, environ)
        except ConfigError as error:
            yield str(error)
    for _, line in _unusable_variables(config, environ):
        yield line


def resolve_usable_secrets(config: AppConfig, environ: Mapping[str, str]) -> tuple[Secrets, frozenset[str]]:
    """Return the providers' secrets as far as the environment has them, and the variables without a usable value.

    For a tool that runs beside the gateway: it needs no other secret, and never raises.
    """
    unusable = frozenset(variable for variable, _ in _unusable_variables(config, environ))
    providers = tuple(
        msgspec.structs.replace(
            provider,
            api_key_env=None if provider.api_key_env in unusable else provider.api_key_env,
            headers_env={header: name for header, name in provider.headers_env.items() if name not in unusable},
            proxy_env=None if provider.proxy_env in unusable else provider.proxy_env,
        )
        for provider in config.providers
    )
    return resolve_secrets(AppConfig(providers=providers), environ), unusable


def _unusable_variables(config: AppConfig, environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Return each variable that a provider names and that has no usable value, with the line about it."""
    for index, provider in enumerate(config.providers):
        variables = {"api_key_env": provider.api_key_env, "proxy_env": provider.proxy_env}
        variables |= {f"headers_env.{header}": variable for header, variable in provider.headers_env.items()}
        for key, variable in variables.items():
            if variable is not None:
                try:
                    resolve = _resolve_proxy if key == "proxy_env" else resolve_secret
                    resolve(variable, f"providers[{index}].{key}", environ)
                except ConfigError as error:
                    yield variable, str(error)


def _resolve_proxy(variable: str, key_path: str, environ: Mapping[str, str]) -> str:
    value = resolve_secret(variable, key_path, environ)
    if not is_proxy_url(value):
        raise ConfigError(f"environment variable {variable}, named by {key_path}, is not an http:// URL with a host")
    return value


def _proxies(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment's proxies by scheme, lower case first; `HTTP_PROXY` is not read under CGI, where a client can set it."""
    found = {}
    for name in ("http", "https", "all", "no"):
        value = environ.get(f"{name}_proxy") or (
            "" if name == "http" and "REQUEST_METHOD" in environ else environ.get(f"{name.upper()}_PROXY", "")
        )
        if value.strip():
            found[name] = value.strip()
    return found


def resolve_database_url(config: AppConfig, environ: Mapping[str, str]) -> str:
    """Return the database's URL alone, for tools that need no other secret; raises `ConfigError`."""
    return _resolve_url(config.database.url, config.database.url_env, "database", environ) or config.database.url


def resolve_cache_url(config: AppConfig, environ: Mapping[str, str]) -> str | None:
    """Return the cache server's URL alone, None where there is none; raises `ConfigError`."""
    return _resolve_url(config.cache.url, config.cache.url_env, "cache", environ)


def _resolve_url(url: str | None, variable: str | None, section: str, environ: Mapping[str, str]) -> str | None:
    """The variable wins over the key beside it, because `database.url` has a default."""
    if variable is None:
        return url
    value = resolve_secret(variable, f"{section}.url_env", environ)
    finding = check_url_scheme(f"environment variable {variable} ({section}.url_env)", value, section)
    if finding is not None:
        raise ConfigError(describe(finding))
    return value


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8-sig")  # editors of Windows begin a file with a byte order mark
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
        raise ConfigError(f"{path}: not valid TOML: {one_line(str(error))}") from None
    except RecursionError:
        raise ConfigError(f"{path}: not valid TOML: nested too deeply") from None
    except ValueError:
        raise ConfigError(f"{path}: not valid TOML: a number has too many digits") from None


def _mistakes_of_shape(raw: dict[str, Any]) -> Iterator[str]:
    """Return what is wrong with each section, and with each table of an array, by itself."""
    for key, value in raw.items():
        parts = value if isinstance(value, list) and value else [None]
        for index, each in enumerate(parts):
            part = {key: value if each is None else [each]}
            try:
                msgspec.convert(part, AppConfig)
            except msgspec.ValidationError as error:
                line = explain(str(error), part)
                yield line if each is None else line.replace(f"{key}[0]", f"{key}[{index}]", 1)


def _with_shape(raw: dict[str, Any]) -> AppConfig:
    """Return the configuration without the sections and arrays that have mistakes of shape, so that all other mistakes are found as well."""
    rest: dict[str, Any] = {}
    for key, value in raw.items():
        with contextlib.suppress(msgspec.ValidationError):
            msgspec.convert({key: value}, AppConfig)
            rest[key] = value
    if "providers" in raw and "providers" not in rest:
        rest.pop("models", None)  # their routes would name providers that are missing
    return msgspec.convert(rest, AppConfig)
