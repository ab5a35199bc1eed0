"""What a person can set, and how a wrong setting is answered."""

import io
import socket
from pathlib import Path

import pytest

from demo.environment import PortInUseError, check_port
from demo.gateway_config import MODELS
from demo.output.screen import Screen
from demo.scenarios import SCENARIOS
from demo.settings import SettingError, Settings, read_settings
from demo.traffic import replay
from demo.traffic.arrivals import DEFAULT_SPEED
from demo.traffic.counters import TrafficCounters


def test_defaults() -> None:
    assert read_settings({}, new_seed=42) == Settings(seconds=None, port=8_000, speed=DEFAULT_SPEED, seed=42)
    assert read_settings({"PORT": "", "SEED": " "}, new_seed=1) == read_settings({}, new_seed=1)


def test_telemetry_that_goes_elsewhere_needs_no_console() -> None:
    environ = {"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "http://127.0.0.1:4318"}
    assert read_settings(environ, new_seed=1).has_endpoint
    assert read_settings({"CONSOLE_PORT": "0"}, new_seed=1).console_port == 0


def test_everything_can_be_set() -> None:
    environ = {"DEMO_SECONDS": "60", "PORT": "0", "SPEED": "0.5", "SEED": "7"}
    assert read_settings(environ, new_seed=1) == Settings(seconds=60.0, port=0, speed=0.5, seed=7)


@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_a_scenario_is_chosen_by_name(name: str) -> None:
    assert read_settings({"SCENARIO": name}, new_seed=1).scenario is SCENARIOS[name]


def test_an_unknown_scenario_ends_with_those_that_there_are() -> None:
    names = "outage, brownout, cost-spike, latency-spike, error-surge, recovery"
    with pytest.raises(SettingError, match=f"^SCENARIO takes one of {names}$"):
        read_settings({"SCENARIO": "doom"}, new_seed=1)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DEMO_SECONDS", "0"),
        ("DEMO_SECONDS", "soon"),
        ("DEMO_SECONDS", "inf"),
        ("PORT", "http"),
        ("PORT", "65536"),
        ("PORT", "-1"),
        ("PORT", "80.0"),
        ("SPEED", "0"),
        ("SPEED", "nan"),
        ("SEED", "1.5"),
        ("SEED", "²"),
        ("SCENARIO", "doom"),
        ("SCENARIO", "Outage"),
    ],
)
def test_a_wrong_setting_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingError, match=f"^{name} takes"):
        read_settings({name: value}, new_seed=1)


def test_a_port_in_use_is_an_error_that_says_what_to_do() -> None:
    advice = r"is in use; choose another one, as in PORT=8080"
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(PortInUseError, match=advice):
        check_port(other.getsockname()[1])
    check_port(0)


def test_a_terminal_is_redrawn_in_place_and_a_file_gets_lines() -> None:
    counters = TrafficCounters(MODELS)
    terminal, file = io.StringIO(), io.StringIO()
    for stream, is_terminal in ((terminal, True), (file, False)):
        screen = Screen(stream, is_terminal=is_terminal)
        for _ in range(2):
            screen.refresh(counters, elapsed_seconds=1.0, in_flight=3)
    assert terminal.getvalue().count("\x1b[5F") == 1
    assert "\x1b" not in file.getvalue()
    assert file.getvalue().count("0 requests (3 in flight)") == 2


def test_a_replay_for_a_gateway_elsewhere_plays_no_scenario(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("SCENARIO", "outage")
    assert (
        replay.main(["send", str(tmp_path), "--gateway", "http://127.0.0.1:9", "--upstream", "http://127.0.0.1:9"]) == 2
    )
    assert "SCENARIO is for `make demo`" in capsys.readouterr().err
