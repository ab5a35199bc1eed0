"""Secrets of the configuration: they come from the environment, and no message shows one."""

from pathlib import Path

import msgspec
import pytest

from app.config.load import ConfigError, load_config, resolve_secret, resolve_secrets
from app.config.schema import AppConfig, ProviderConfig

ALPHA = ProviderConfig(name="alpha", base_url="http://127.0.0.1:9/v1", api_key_env="ALPHA_KEY")
CONFIG = AppConfig(providers=(ALPHA, ProviderConfig(name="beta", base_url="http://127.0.0.1:9/v1")))


def refusal(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    return str(caught.value)


@pytest.mark.parametrize(
    "line",
    [
        'api_key_env = "sk-SECRET"',
        'api_key_env = "SECRET with blanks"',
        'api_key_env = ["SECRET"]',
        'api_key = "SECRET"',
        'base_url = "https://user:SECRET@beta.example/v1"',
        'base_url = "SECRET"',
        'base_url = ["SECRET"]',
    ],
)
def test_no_refusal_shows_a_secret(tmp_path, line) -> None:
    text = '[[providers]]\nname = "p"\n' + ("" if line.startswith("base_url") else 'base_url = "http://h/v1"\n') + line
    assert "SECRET" not in refusal(tmp_path / "g.toml", text)


@pytest.mark.parametrize("url", ["postgres://u:SECRET@h/x", "SECRET", "SECRET://h"])
@pytest.mark.parametrize("section", ["database", "cache"])
def test_no_refusal_of_a_url_shows_it(tmp_path, section, url) -> None:
    assert "SECRET" not in refusal(tmp_path / "g.toml", f'[{section}]\nurl = "{url}"')
    config = msgspec.convert({section: {"url_env": "THE_URL"}}, AppConfig)
    with pytest.raises(ConfigError, match=r"THE_URL \(.*url_env\): ") as caught:
        resolve_secrets(config, {"THE_URL": url})
    assert "SECRET" not in str(caught.value)


def test_secrets_come_from_the_environment() -> None:
    secrets = resolve_secrets(CONFIG, {"ALPHA_KEY": " sk-1 \n"})
    assert secrets.provider_keys == {"alpha": "sk-1"}
    assert (secrets.monitoring_token, secrets.cache_url, secrets.database_url) == (None, None, CONFIG.database.url)
    assert "sk-1" not in repr(secrets)
    assert "sk-1" not in str(secrets)


@pytest.mark.parametrize(("environ", "state"), [({}, "is not set"), ({"ALPHA_KEY": " "}, "is empty")])
def test_a_variable_without_a_value_stops_the_start(environ, state) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve_secrets(CONFIG, environ)
    assert (
        str(caught.value)
        == f"environment variable ALPHA_KEY {state}; providers[0].api_key_env names it: set it, or remove the key"
    )


def test_every_variable_is_resolved() -> None:
    config = msgspec.convert(
        {"monitoring": {"token_env": "T"}, "database": {"url_env": "D"}, "cache": {"url_env": "C"}}, AppConfig
    )
    environ = {"T": "token", "D": "postgresql+asyncpg://u:p@h/x", "C": "valkey://h:1/0"}
    secrets = resolve_secrets(config, environ)
    assert (secrets.monitoring_token, secrets.database_url, secrets.cache_url) == tuple(environ.values())
    with pytest.raises(ConfigError, match="not printable"):
        resolve_secret("T", "monitoring.token_env", {"T": "a\x00b"})
