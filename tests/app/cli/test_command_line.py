"""`gatewayz`: where its options may stand, and what it says when something is missing."""

import os
import shutil
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from app.cli.main import main
from app.config.load import CONFIG_VARIABLE

ROOT = Path(__file__).parents[3]
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
    assert main(["--config", config_path, "keys", *CREATE], {}) == 0
    assert main(["--config", config_path, "keys", "list"], environ) == 0
    assert main(["--config", "/nowhere.toml", "keys", "list", "--config", config_path], {}) == 0
    assert main(["keys", "list"], environ) == 1
    assert capsys.readouterr().err.startswith("gateway: /nowhere.toml: no such file")


def test_without_arguments_it_explains_itself(capsys):
    assert main([], {}) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert all(word in printed.err for word in ("serve", "keys", "--config", CONFIG_VARIABLE))


@pytest.mark.parametrize("file", ["/usr/local/bin/gatewayz", "/tree/app/__main__.py"])
def test_usage_names_the_command_however_it_was_called(file):
    script = f"import sys; sys.argv = [{file!r}, 'keys', '--help']; from app.__main__ import run; run()"
    printed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert printed.startswith("usage: gatewayz keys ")


@pytest.mark.parametrize("command", [["keys", *CREATE], ["keys", "create", "--name", "anna"], ["check-config"]])
def test_without_a_configuration_the_defaults_apply_and_one_line_says_what_is_next(
    capsys, tmp_path, monkeypatch, command
):
    monkeypatch.chdir(tmp_path)
    assert main(command, {}) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith(("gwz_", "ok\n"))
    notice, *warnings = printed.err.splitlines()
    assert all(word in notice for word in ("next:", "--config", CONFIG_VARIABLE, "gatewayz.example.toml"))
    assert warnings == [line for line in warnings if "no providers are configured" in line]


@pytest.mark.live
def test_the_gateway_serves_in_an_empty_folder(tmp_path):
    script = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from app.__main__ import run; sys.exit(run())"
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "GATEWAYZ_"))}
    process = subprocess.Popen(
        [sys.executable, "-c", script, "serve", "--port", "0"],
        cwd=tmp_path,
        env=environ,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    lines: list[str] = []
    try:
        while not lines or "listening on" not in lines[-1]:
            lines.append(process.stderr.readline())
            assert lines[-1], lines
        process.send_signal(signal.SIGTERM)
        rest = process.communicate(timeout=300)[1]
    finally:
        process.kill()
        process.wait()
    assert "no configuration file" in lines[0]
    assert (process.returncode, rest.splitlines()[-1]) == (0, "gateway: stopped")


def test_help_shows_examples(capsys):
    with pytest.raises(SystemExit):
        main(["--help"], {})
    printed = capsys.readouterr().out
    assert "examples:\n  gatewayz keys create --name anna" in printed


@pytest.mark.parametrize(
    "command", [[], *([name] for name in ("serve", "console", "keys", "usage", "doctor", "prices"))]
)
def test_no_help_names_another_program(capsys, command):
    with pytest.raises(SystemExit):
        main([*command, "--help"], {})
    printed = capsys.readouterr().out
    assert printed.startswith("usage: gatewayz ")
    assert "python -m" not in printed


def completed(script, words):
    """Return what bash completes for the last word."""
    line = " ".join(f"'{word}'" for word in words)
    code = f'{script}\nCOMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; _gatewayz; printf "%s\\n" "${{COMPREPLY[@]}}"'
    return subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=True).stdout.split()  # noqa: S607


@pytest.mark.parametrize(
    ("words", "choices"),
    [
        (["gatewayz", "s"], ["serve"]),
        (["gatewayz", "keys", ""], ["create", "list", "revoke", "--help", "--config"]),
        (["gatewayz", "--config", "x", "keys", "create", "--p"], ["--plan"]),
        (["gatewayz", "completion", "f"], ["fish"]),
        (["gatewayz", "--config", ""], []),
    ],
)
def test_bash_completes_commands_and_options(capsys, words, choices):
    assert main(["completion", "bash"], {}) == 0
    assert sorted(completed(capsys.readouterr().out, words)) == sorted(choices)


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_get_every_command_and_option(capsys, tmp_path, shell):
    assert main(["completion", shell], {}) == 0
    script = capsys.readouterr().out
    assert all(word in script for word in ("serve", "create", "check-config", "trial-days", "otlp"))
    path = tmp_path / "completion"
    path.write_text(script)
    if shutil.which(shell):
        subprocess.run([shell, "-n", str(path)], check=True)


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
routes = [{ provider = "alpha", upstream_model = "s-1", input_usd_per_million = 1, output_usd_per_million = 2 }]
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
        ('[[providers]]\nname = "a"\nbase_url = "http://[::1]:1/v1"', "no models are configured"),
        (ROUTED + '[[providers]]\nname = "b"\nbase_url = "http://localhost/v1"', "no model has a route to 'b'"),
        (ROUTED.replace('api_key_env = "ALPHA_KEY"', ""), "provider 'alpha' has no api_key_env, so no key is sent"),
    ],
)
def test_what_is_hardly_meant_is_a_warning(tmp_path, capsys, text, said):
    path = tmp_path / "g.toml"
    path.write_text(text)
    assert main(["check-config", "--config", str(path)], {"ALPHA_KEY": "x"}) == 0
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"gateway: warning: {said}")


def test_a_key_in_another_header_is_one(tmp_path, capsys):
    path = tmp_path / "g.toml"
    path.write_text(ROUTED.replace("api_key_env =", "headers_env.x-key ="))
    assert main(["check-config", "--config", str(path)], {"ALPHA_KEY": "x"}) == 0
    assert capsys.readouterr().err == ""


def test_a_name_that_is_used_twice_is_listed_once(tmp_path, capsys):
    path = tmp_path / "g.toml"
    provider = '[[providers]]\nname = "twin"\nbase_url = "https://twin.example/v1"\n'
    path.write_text(2 * provider + '[[models]]\nname = "m"\nroutes = [{ provider = "x", upstream_model = "y" }]\n')
    assert main(["check-config", "--config", str(path)], {}) == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if "providers[0].name" not in line]
    assert [line.count("'twin'") for line in lines if "twin" in line] == [1, 1, 1]


def test_telemetry_variables_are_looked_at_as_well(tmp_path, capsys):
    path = tmp_path / "g.toml"
    path.write_text(ROUTED)
    assert main(["check-config", "--config", str(path)], {"ALPHA_KEY": "x", "OTEL_TRACES_SAMPLER": "rare"}) == 0
    assert "warning: OTEL_TRACES_SAMPLER is 'rare'" in capsys.readouterr().err


@pytest.mark.parametrize("telemetry", ["", "[telemetry]\nenabled = false\n"])
@pytest.mark.parametrize("command", ["check-config", "serve"])
def test_a_propagator_that_is_not_supported_is_one_line_and_no_start(tmp_path, capsys, command, telemetry):
    path = tmp_path / "g.toml"
    path.write_text(f'{telemetry}[database]\nurl = "sqlite+aiosqlite:///{tmp_path}/gateway.db"\n' + ROUTED)
    assert main([command, "--config", str(path)], {"ALPHA_KEY": "x", "OTEL_PROPAGATORS": "tracecontext,jaeger"}) == 1
    assert capsys.readouterr().err == (
        "gateway: OTEL_PROPAGATORS names 'jaeger', which is not supported: "
        "use some of tracecontext, baggage, b3, b3multi, none\n"
    )


@pytest.mark.parametrize(
    ("text", "environ", "mistake"),
    [
        ('[database]\nurl = "sqlite:///gw.db"\n', {}, "database.url: scheme 'sqlite'"),
        ("", {"GATEWAYZ_DATABASE__URL": "mysql://u@h/x"}, "database.url: scheme 'mysql'"),
        ("", {"GATEWAYZ_CACHE__URL": "http://h"}, "cache.url: scheme 'http'"),
        (
            'proxy_env = "PROXY"',
            {"PROXY": "socks5://h:1080"},
            "PROXY, named by providers[0].proxy_env, is not an http:// URL",
        ),
        ('api_key_env = "$KEY"', {}, "providers[0].api_key_env: not the name of an environment variable"),
    ],
)
def test_check_config_prints_each_mistake_once(tmp_path, capsys, text, environ, mistake) -> None:
    path = tmp_path / "gateway.toml"
    provider = '[[providers]]\nname = "a"\nbase_url = "http://127.0.0.1:1/v1"\n'
    path.write_text(text if text.startswith("[") else provider + text)
    assert main(["check-config", "--config", str(path)], environ) == 1
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "warning" not in line]
    assert mistake in line
