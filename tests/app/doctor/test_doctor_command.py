"""`gatewayz doctor`: exit codes, both forms of output, and where it looks for the servers."""

import argparse
import asyncio
import io
import json

import pytest

from app.cli.main import main
from app.config.schema import AppConfig, DoctorSection, MonitoringConfig, ServerConfig
from app.doctor.command import settings_from
from app.doctor.parser import add_doctor_parser
from app.doctor.settings import DEFAULTS, SettingsError


def parsed(*arguments):
    parser = argparse.ArgumentParser()
    add_doctor_parser(parser.add_subparsers(), argparse.ArgumentParser(add_help=False))
    return parser.parse_args(["doctor", *arguments])


def addresses(pipeline) -> list[str]:
    return [part for name in DEFAULTS for part in (f"--{name.replace('_', '-')}", f"{pipeline.url}/{name}")] + [
        "--otlp",
        f"{pipeline.url}/otlp",
    ]


async def run(*arguments: str) -> int:
    """Run it in a thread: it has an event loop of its own, and this one serves the scripted pipeline."""
    return await asyncio.to_thread(main, ["doctor", *arguments], {})


async def test_a_fault_is_exit_code_1_and_stands_in_the_json(pipeline, capsys):
    pipeline.down = {"loki"}
    assert await run(*addresses(pipeline), "--no-request", "--json") == 1
    printed = capsys.readouterr()
    document = json.loads(printed.out)
    assert document["healthy"] is False
    assert document["broken"] == ["loki.reachable"]
    [loki] = [each for each in document["checks"] if each["check"] == "loki.reachable"]
    assert loki["state"] == "broken"
    assert "--loki" in loki["fix"]
    assert printed.err == "doctor: querying the servers\n"


async def test_health_is_exit_code_0_and_a_table(pipeline, capsys):
    assert await run(*addresses(pipeline), "--no-request") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:2] == ["gateway.reachable", "ok"]
    assert lines[-1].startswith("healthy: ")


async def test_each_finding_has_its_fix_on_the_next_line(pipeline, capsys):
    pipeline.down = {"tempo"}
    assert await run(*addresses(pipeline), "--no-request") == 1
    lines = capsys.readouterr().out.splitlines()
    [row] = [number for number, line in enumerate(lines) if line.startswith("tempo.reachable") and "BROKEN" in line]
    assert lines[row + 1].strip().startswith("fix: start Tempo")
    assert lines[-1].startswith("broken: tempo.reachable ")


@pytest.mark.parametrize(
    ("arguments", "environ", "said"),
    [
        (["--loki", "3100"], {}, "--loki takes http://HOST:PORT, or off"),
        (["--loki", "http://"], {}, "--loki takes"),
        ([], {"GATEWAYZ_DOCTOR_TEMPO": "ftp://x"}, "GATEWAYZ_DOCTOR_TEMPO takes"),
        (["--gateway", "off"], {}, "--gateway cannot be left out"),
        (
            [],
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "c:4318"},
            "OTEL_EXPORTER_OTLP_ENDPOINT is not an http:// or https:// URL",
        ),
        (["--otlp", "c"], {}, "--otlp is not an http:// or https:// URL"),
        (["--config", "/nowhere.toml"], {}, "/nowhere.toml: no such file"),
    ],
)
def test_what_makes_no_sense_is_exit_code_2_and_one_line(capsys, arguments, environ, said):
    assert main(["doctor", *arguments], environ) == 2
    printed = capsys.readouterr()
    assert said in printed.err
    assert printed.err.count("\n") == 1
    assert printed.out == ""


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "x", "601"])
def test_a_timeout_that_is_none(capsys, seconds):
    with pytest.raises(SystemExit) as caught:
        main(["doctor", "--timeout", seconds], {})
    assert caught.value.code == 2
    assert "is not a number of seconds" in capsys.readouterr().err


def test_a_flag_wins_over_its_variable_and_that_over_the_configuration():
    config = AppConfig(server=ServerConfig(host="::", port=8100), doctor=DoctorSection(loki="http://l:1", tempo="off"))
    assert settings_from(parsed(), None, {}).addresses == DEFAULTS
    assert settings_from(parsed(), config, {}).addresses["gateway"] == "http://127.0.0.1:8100"
    assert settings_from(parsed(), config, {}).addresses["loki"] == "http://l:1"
    assert settings_from(parsed("--loki", "http://m:2"), config, {}).addresses["loki"] == "http://m:2"
    assert settings_from(parsed(), config, {}).addresses["tempo"] == ""
    environ = {"GATEWAYZ_DOCTOR_GATEWAY": "http://b/", "GATEWAYZ_DOCTOR_COLLECTOR_HEALTH": "off"}
    settings = settings_from(parsed(), config, environ)
    assert settings.addresses["gateway"] == "http://b"
    assert settings.addresses["collector_health"] == ""
    assert settings_from(parsed("--gateway", "http://c"), config, environ).addresses["gateway"] == "http://c"


def test_an_address_of_the_configuration_that_is_none_is_named_by_its_key():
    config = AppConfig(doctor=DoctorSection(loki="l:3100"))
    with pytest.raises(SettingsError, match=r"doctor\.loki takes http://HOST:PORT, or off"):
        settings_from(parsed(), config, {})


def test_secrets_come_from_variables_and_are_not_shown():
    config = AppConfig(monitoring=MonitoringConfig(token_env="SCRAPE_TOKEN"))
    environ = {
        "SCRAPE_TOKEN": "s3cret",
        "GATEWAYZ_DOCTOR_KEY": "gwz_k",
        "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20t0ken",
    }
    settings = settings_from(parsed(), config, environ)
    assert (settings.metrics_token, settings.api_key) == ("s3cret", "gwz_k")
    assert dict(settings.otlp["logs"].headers) == {"authorization": "Bearer t0ken"}
    assert not any(secret in repr(settings) for secret in ("s3cret", "gwz_k", "t0ken"))


def test_otlp_is_the_environments_own_unless_the_flag_says_otherwise():
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a:4318", "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "http://b:4318/logs"}
    settings = settings_from(parsed(), None, environ)
    assert [settings.otlp[signal].address for signal in ("traces", "metrics", "logs")] == ["a:4318", "a:4318", "b:4318"]
    settings = settings_from(parsed("--otlp", "http://c:4318"), None, environ)
    assert {each.address for each in settings.otlp.values()} == {"c:4318"}


def test_without_a_pipeline_only_the_servers_that_were_named_are_used():
    config = AppConfig(doctor=DoctorSection(loki="http://l:1"))
    settings = settings_from(
        parsed("--otlp", "off", "--tempo", "http://t:2"), config, {"GATEWAYZ_DOCTOR_GRAFANA": "http://g:3"}
    )
    assert settings.otlp == {}
    used = {name for name, url in settings.addresses.items() if url}
    assert used == {"gateway", "loki", "tempo", "grafana"}


def test_the_key_may_come_from_stdin_and_is_warned_of_on_the_command_line():
    warnings = []
    read = settings_from(parsed("--key", "-"), None, {}, warn=warnings.append, stdin=io.StringIO("gwz_piped\n"))
    assert (read.api_key, warnings) == ("gwz_piped", [])
    shown = settings_from(parsed("--key", "gwz_shown"), None, {}, warn=warnings.append)
    assert shown.api_key == "gwz_shown"
    assert "list of processes" in warnings[0]
    assert "gwz_shown" not in warnings[0]
    with pytest.raises(SettingsError, match="stdin"):
        settings_from(parsed("--key", "-"), None, {}, stdin=io.StringIO(""))


def test_exit_codes_are_documented(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["doctor", "--help"], {})
    assert caught.value.code == 0
    assert "0 nothing is broken, 1 something is, 2" in " ".join(capsys.readouterr().out.split())
