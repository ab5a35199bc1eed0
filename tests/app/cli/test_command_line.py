"""`python -m app`: where its options may stand, and what it says when something is missing."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from app.cli.main import main
from app.config.load import CONFIG_VARIABLE

CREATE = ["create", "--name", "anna", "--plan", "free"]


@pytest.fixture
def config_path(tmp_path):
    path = tmp_path / "gateway.toml"
    path.write_text(f'[database]\nurl = "sqlite+aiosqlite:///{tmp_path}/gateway.db"\n')
    return str(path)


@pytest.mark.parametrize("place", [0, 1, 2, 6])
def test_the_configuration_may_be_named_anywhere(config_path, capsys, place):
    arguments = ["keys", *CREATE]
    arguments[place:place] = ["--config", config_path]
    assert main(arguments, {}) == 0
    assert capsys.readouterr().out.startswith("gwz_")


def test_the_option_wins_over_the_variable_and_the_last_over_the_first(config_path, capsys):
    environ = {CONFIG_VARIABLE: "/nowhere.toml"}
    assert main(["--config", config_path, "keys", "list"], environ) == 0
    assert main(["--config", "/nowhere.toml", "keys", "list", "--config", config_path], {}) == 0
    assert main(["keys", "list"], environ) == 1
    assert capsys.readouterr().err.startswith("gateway: /nowhere.toml: no such file")


def test_without_arguments_it_explains_itself(capsys):
    assert main([], {}) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert all(word in printed.err for word in ("serve", "keys", "--config", CONFIG_VARIABLE))


@pytest.mark.parametrize(
    ("file", "name"), [("/usr/local/bin/gatewayz", "gatewayz"), ("/tree/app/__main__.py", "python -m app")]
)
def test_usage_names_the_command_that_was_called(file, name):
    script = f"import sys; sys.argv = [{file!r}, 'keys', '--help']; from app.__main__ import run; run()"
    printed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert printed.startswith(f"usage: {name} keys ")


@pytest.mark.parametrize("command", [["serve"], ["keys", "list"], ["check-config"]])
def test_without_a_configuration_it_says_where_to_get_one(capsys, command):
    assert main(command, {}) == 1
    printed = capsys.readouterr().err
    assert all(word in printed for word in ("--config", CONFIG_VARIABLE, "gatewayz.example.toml"))
    assert printed.count("\n") == 1


@pytest.mark.parametrize("port", ["x", "-1", "65536", "1e3", "٣", ""])
def test_a_port_that_is_none_says_what_is_allowed(config_path, capsys, port):
    with pytest.raises(SystemExit) as caught:
        main(["serve", "--config", config_path, "--port", port], {})
    assert caught.value.code == 2
    assert "is not a number from 0 to 65535" in capsys.readouterr().err


def test_the_version_is_the_packages(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--version"], {})
    assert caught.value.code == 0
    version = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]["version"]
    assert capsys.readouterr().out == f"gatewayz {version}\n"


ROUTED = """
[[providers]]
name = "alpha"
base_url = "https://alpha.example/v1"
api_key_env = "ALPHA_KEY"
[[models]]
name = "small"
routes = [{ provider = "alpha", upstream_model = "s-1" }]
"""


def test_a_good_configuration_is_ok_and_summed_up_without_secrets(tmp_path, capsys):
    path = tmp_path / "g.toml"
    path.write_text(ROUTED)
    assert main(["check-config", "--config", str(path)], {"ALPHA_KEY": "s3cret"}) == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines()[0] == "ok"
    assert "provider alpha: https://alpha.example/v1, key from ALPHA_KEY" in printed.out
    assert "model small (chat): alpha (s-1)" in printed.out
    assert "plan free: no limits" in printed.out
    assert printed.err == ""
    assert "s3cret" not in printed.out


def test_every_mistake_is_told_at_once(tmp_path, capsys):
    path = tmp_path / "g.toml"
    path.write_text(
        '[server]\nport = "x"\n[cache]\nmax_byte = 1\n[[plans]]\nname = "a"\n[[plans]]\nname = 3\n[providers]\nname = "a"\n'
    )
    assert main(["check-config", "--config", str(path)], {"GATEWAYZ_SERVR__HOST": "x"}) == 1
    printed = capsys.readouterr()
    lines = [line.removeprefix(f"gateway: {path}: ").partition(":")[0] for line in printed.err.splitlines()]
    assert sorted(lines) == ["cache.max_byte", "gateway", "plans[1].name", "providers", "server.port"]
    assert "write [[providers]]" in printed.err
    assert printed.out == ""


def test_rules_of_meaning_and_missing_secrets_are_told_together(tmp_path, capsys):
    path = tmp_path / "g.toml"
    path.write_text(ROUTED + '[server]\nport = 70000\n[monitoring]\ntoken_env = "TOKEN"\n[ledger]\ncommit_rows = 0\n')
    assert main(["check-config", "--config", str(path)], {}) == 1
    printed = capsys.readouterr().err
    for word in (
        "server.port: 70000",
        "ledger.commit_rows: 0",
        "variable TOKEN is not set",
        "variable ALPHA_KEY is not set",
    ):
        assert word in printed
    assert printed.count("\n") == 4


def test_a_key_that_is_unknown_hides_no_mistake_elsewhere(tmp_path, capsys):
    path = tmp_path / "g.toml"
    routed = ROUTED.replace("alpha.example/v1", "alpha.example/v1/chat/completions").replace(
        'provider = "alpha"', 'provider = "alfa"'
    )
    path.write_text(routed + '[server]\nport = 70000\n[[plans]]\nname = "free"\nkey_request_per_minute = 5\n')
    assert main(["check-config", "--config", str(path)], {}) == 1
    lines = capsys.readouterr().err.splitlines()
    for word in ("key_request_per_minute", "base_url", "alfa", "server.port: 70000", "variable ALPHA_KEY is not set"):
        assert sum(word in line for line in lines) == 1
    path.write_text(ROUTED.replace("base_url", "base_ur") + "[server]\nport = 70000\n")
    assert main(["check-config", "--config", str(path)], {}) == 1
    lines = capsys.readouterr().err.splitlines()
    assert [line.removeprefix(f"gateway: {path}: ").partition(":")[0] for line in lines] == [
        "providers[0].base_ur",
        "server.port",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no providers are configured: add [[providers]] and [[models]]"),
        ('[[providers]]\nname = "a"\nbase_url = "http://h/v1"', "no models are configured"),
        (ROUTED + '[[providers]]\nname = "b"\nbase_url = "http://h/v1"', "no model has a route to 'b'"),
    ],
)
def test_what_is_hardly_meant_is_a_warning(tmp_path, capsys, text, said):
    path = tmp_path / "g.toml"
    path.write_text(text)
    assert main(["check-config", "--config", str(path)], {"ALPHA_KEY": "x"}) == 0
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"gateway: warning: {said}")


def test_telemetry_variables_are_looked_at_as_well(tmp_path, capsys):
    path = tmp_path / "g.toml"
    path.write_text(ROUTED)
    assert main(["check-config", "--config", str(path)], {"ALPHA_KEY": "x", "OTEL_TRACES_SAMPLER": "rare"}) == 0
    assert "warning: OTEL_TRACES_SAMPLER is 'rare'" in capsys.readouterr().err
