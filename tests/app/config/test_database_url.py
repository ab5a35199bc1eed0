"""The database's and the cache's URL: what cannot be used is one line without a password, at the start and in `check-config`."""

import asyncio
import io

import pytest

from app.cli.check_config import run_check_config
from app.config.load import ConfigError, resolve_secret
from app.store.database import DatabaseOpenError, open_database
from otel.recording.noop import DisabledRecorder

POSTGRESQL = "postgresql+asyncpg://gateway:hunter22@127.0.0.1:1/ledger"
PLANS = '[[plans]]\nname = "free"\n'


def opened(url):
    """The line of a database that does not open."""
    with pytest.raises(DatabaseOpenError) as error:
        asyncio.run(open_database(url, DisabledRecorder()))
    return str(error.value)


def checked(tmp_path, text):
    path = tmp_path / "gateway.toml"
    path.write_text(text + PLANS)
    errors = io.StringIO()
    code = run_check_config(str(path), {}, stdout=io.StringIO(), stderr=errors)
    return code, [line for line in errors.getvalue().splitlines() if "warning" not in line]


@pytest.mark.parametrize(
    ("url", "named"),
    [
        ("postgresql+asyncpg://gateway:hunter22@db:port/ledger", "not one"),
        (f"{POSTGRESQL}?port=abc", "not one"),
        (f"{POSTGRESQL}?port=99999", "a port that is not a number from 1 to 65535"),
        ("postgresql+asyncpg://u:hunter22@/d?host=a:5432&host=b:99999", "a port that is not a number from 1 to 65535"),
        ("postgresql+asyncpg://gateway:hunter22@db:99999/ledger", "a port that is not a number from 1 to 65535"),
        ("postgresql+asyncpg://gateway:hunter22@db:0/ledger", "a port that is not a number from 1 to 65535"),
        (f"{POSTGRESQL}?prepared_statement_cache_size=abc", "not one"),
        (f"{POSTGRESQL}?sslmode=require", "'sslmode', which is `ssl` here"),
        (f"{POSTGRESQL}?unknown=1", "'unknown'"),
    ],
)
def test_a_url_that_no_driver_takes_is_found_before_the_start(tmp_path, url, named):
    line = opened(url)
    assert named in line
    assert "\n" not in line
    assert "hunter22" not in line
    assert checked(tmp_path, f'[database]\nurl = "{url}"\n') == (1, [f"gateway: {line}"])


@pytest.mark.parametrize(
    "parameter", ["statement_cache_size=abc", "password=hunter22", "dsn=postgres://u:hunter22@h/x"]
)
def test_a_parameter_of_no_use_is_one_line_without_the_parameters(parameter):
    line = opened(f"{POSTGRESQL}?{parameter}")
    assert line.startswith("database postgresql+asyncpg://gateway:***@127.0.0.1:1/ledger: ")
    assert "\n" not in line
    assert "hunter22" not in line


@pytest.mark.parametrize(
    "parameters",
    [
        "ssl=require",
        "ssl=require&statement_cache_size=0",
        "prepared_statement_cache_size=0",
        "host=/run/postgresql&port=5433",
    ],
)
def test_parameters_that_the_driver_takes_pass(tmp_path, parameters):
    assert checked(tmp_path, f'[database]\nurl = "{POSTGRESQL}?{parameters}"\n') == (0, [])


@pytest.mark.parametrize(
    "url",
    [
        "redis://:hunter22@cache:port/0",
        "redis://:hunter22@cache:99999/0",
        "redis://:hunter22@cache:0/0",
        "redis://:hunter22@[::1",
    ],
)
def test_check_config_finds_what_the_cache_refuses(tmp_path, url):
    code, lines = checked(tmp_path, f'[cache]\nurl = "{url}"\n')
    assert (code, lines) == (
        1,
        ["gateway: cache.url: not a URL of a Valkey or Redis server, as in redis://host:6379/0"],
    )


def test_check_config_opens_nothing(tmp_path):
    url = f"sqlite+aiosqlite:///{tmp_path}/gateway.db"
    assert checked(tmp_path, f'[database]\nurl = "{url}"\n[cache]\nurl = "redis://127.0.0.1:1"\n') == (0, [])
    assert not (tmp_path / "gateway.db").exists()


def test_a_secret_in_the_place_of_its_variable_is_never_shown(tmp_path):
    secret = "sk-hunter22-hunter22-hunter22"
    provider = f'[[providers]]\nname = "p"\nbase_url = "http://127.0.0.1:9/v1"\napi_key_env = "{secret}"\n'
    code, lines = checked(tmp_path, provider)
    assert code == 1
    assert lines
    assert secret not in "".join(lines)
    with pytest.raises(ConfigError, match="not the name of an environment variable") as error:
        resolve_secret(secret, "providers[0].api_key_env", {})
    assert secret not in str(error.value)


def test_a_spool_folder_with_a_control_character_is_a_mistake(tmp_path):
    code, lines = checked(tmp_path, '[telemetry]\nspool_folder = "a\\u0000b"\n')
    assert code == 1
    assert len(lines) == 1
    assert "telemetry.spool_folder" in lines[0]
