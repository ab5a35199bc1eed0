"""What each server reads in a container is what it reads natively: the same files and flags; only addresses and folders differ."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from compose.native.ports import Ports, variables
from compose.native.servers import ROOT, Choices, Server, servers
from tests.checks import compose as checks

NAMES = ("alertmanager", "prometheus", "loki", "tempo", "otelcol")
BINARIES = {name: Path("/binaries", name) for name in NAMES}
FOLDER_FLAGS = {"storage.path", "storage.tsdb.path"}
FILE_FLAGS = {"config.file", "config"}
ADDRESS_FLAGS = {"web.listen-address"}
ENVIRONMENT = re.compile(r"\$\{(?:env:)?(?P<name>[A-Z0-9_]+)(?::-(?P<default>[^}]*))?\}")
SERVICE_OF_PORT = {
    "gateway:8000": Choices().gateway_address,
    "prometheus:9090": "127.0.0.1:9090",
    "loki:3100": "127.0.0.1:3100",
    "tempo:3200": "127.0.0.1:3200",
    "tempo:4319": "127.0.0.1:4319",
    "otelcol:8888": "127.0.0.1:8888",
    "alertmanager:9093": "127.0.0.1:9093",
}
"""What is called how in the containers' network, and where it is natively with the default ports."""


def as_in_containers(text: str, data: Path) -> str:
    """Write a native address or folder as the containers know it."""
    for service, native in SERVICE_OF_PORT.items():
        text = text.replace(native, service)
    return text.replace(str(data), "<data>")


@pytest.fixture
def data(tmp_path) -> Path:
    return tmp_path / "data"


def native(data: Path, choices: Choices = Choices()) -> dict[str, Server]:  # noqa: B008
    return {server.name: server for server in servers(BINARIES, Ports(), data, choices)}


def containers(*overlays: str) -> dict[str, dict[str, Any]]:
    """The services of the base file, with the mounts of overlays on top."""
    services: dict[str, dict[str, Any]] = checks.read(checks.BASE)["services"]
    for name in overlays:
        for service, settings in checks.read(name)["services"].items():
            services[service].setdefault("volumes", []).extend(settings.get("volumes", []))
            services[service].update({key: settings[key] for key in ("command",) if key in settings})
    return services


def flags(command: list[str]) -> list[tuple[str, str]]:
    """Names and values in their order."""
    parted = (argument.lstrip("-").partition("=") for argument in command)
    return [(name, value) for name, _, value in parted]


def mounts(service: Mapping[str, Any]) -> dict[Path, Path | None]:
    """Where in the container each mount is, and what of the host; None for a named volume. A later one wins."""
    return {Path(mount.split(":")[1]): checks.host_path(mount) for mount in service["volumes"]}


def host_file(service: Mapping[str, Any], path: str) -> Path:
    """The file of the tree that a path in the container leads to."""
    inside = Path(path)
    for place, host in mounts(service).items():
        if host is not None and inside.is_relative_to(place):
            return host / inside.relative_to(place)
    raise AssertionError(f"{path} is on no mount")


def files(pairs: list[tuple[str, str]]) -> list[str]:
    return [value for name, value in pairs if name in FILE_FLAGS]


@pytest.mark.parametrize("name", NAMES)
def test_the_flags_are_the_same_but_for_addresses_and_folders(name: str, data: Path) -> None:
    here = flags(list(native(data)[name].command[1:]))
    there = flags(containers()[name]["command"])
    assert [flag for flag, _ in here] == [flag for flag, _ in there]
    for (flag, native_value), (_, value) in zip(here, there, strict=True):
        if flag in ADDRESS_FLAGS:
            assert value.rpartition(":")[2] == native_value.rpartition(":")[2]
        elif flag in FOLDER_FLAGS:
            assert mounts(containers()[name])[Path(value)] is None, f"{value} is on a volume"
        elif flag not in FILE_FLAGS:
            assert value == native_value, flag


@pytest.mark.parametrize("name", NAMES)
def test_the_files_are_the_same(name: str, data: Path) -> None:
    here = [Path(path).resolve() for path in files(flags(list(native(data)[name].command[1:])))]
    service = containers()[name]
    assert here == [host_file(service, path) for path in files(flags(service["command"]))]
    assert here
    assert all(path.is_file() for path in here)


@pytest.mark.parametrize("name", ["loki", "tempo", "otelcol"])
def test_the_variables_of_the_files_mean_the_same(name: str, data: Path) -> None:
    here = variables(Ports(), data)
    service = containers()[name]
    environment = {key: str(value) for key, value in service["environment"].items()}
    read: dict[str, str] = {}
    for path in files(flags(service["command"])):
        for match in ENVIRONMENT.finditer(host_file(service, path).read_text()):
            read.setdefault(match["name"], match["default"] or "")
    assert {"STACK_LISTEN"} < read.keys()
    for variable, default in read.items():
        value = environment.get(variable, default)
        if variable == "STACK_LISTEN":
            assert value == "0.0.0.0"  # noqa: S104  inside the container; the ports are published on loopback
        elif variable.endswith("_DATA"):
            assert mounts(service)[Path(value)] is None, f"{value} is on a volume"
        else:
            assert value == as_in_containers(here.get(variable, default), data), variable
    assert environment.keys() <= read.keys(), "a variable that no file reads changes nothing"


def test_prometheus_finds_the_same_rules_and_targets(data: Path) -> None:
    folder = native(data)["prometheus"].folder
    service = containers()["prometheus"]
    assert host_file(service, "/etc/prometheus/rules") == (folder / "rules").resolve()
    there = host_file(service, "/etc/prometheus/targets")
    written = {path.name: yaml.safe_load(path.read_text()) for path in (folder / "targets").iterdir()}
    committed = {path.name: yaml.safe_load(path.read_text()) for path in there.iterdir()}
    moved = {
        name: [
            {**group, "targets": [as_in_containers(target, data) for target in group["targets"]]} for group in groups
        ]
        for name, groups in written.items()
    }
    assert committed == moved


def test_alertmanager_sends_to_the_same_webhook(data: Path) -> None:
    content = checks.read(checks.BASE)
    assert content["configs"]["webhook-url"]["content"] == Choices().webhook_url
    assert (native(data)["alertmanager"].folder / "webhook-url").read_text() == Choices().webhook_url
    service = content["services"]["alertmanager"]
    assert Path(service["configs"][0]["target"]).parent == Path(service["working_dir"])


def test_scrape_only_is_the_same_file_and_runs_nothing_that_gets_no_data(data: Path) -> None:
    here = native(data, Choices(prometheus_file="prometheus.scrape-only.yml"))["prometheus"]
    service = containers("compose.scrape-only.yaml")["prometheus"]
    native_file = Path(files(flags(list(here.command[1:])))[0]).resolve()
    assert mounts(service)[Path("/etc/prometheus/prometheus.yml")] == native_file
    left = {
        name
        for name, settings in checks.read("compose.scrape-only.yaml")["services"].items()
        if settings.get("profiles") == ["push"]
    }
    assert left == {"otelcol-volume", "otelcol", "loki", "tempo"}


def test_tls_adds_its_file_to_the_same_files() -> None:
    base, tls = (files(flags(containers(*overlays)["otelcol"]["command"])) for overlays in ((), ("compose.tls.yaml",)))
    assert tls == [*base, "/etc/otelcol/tls-tokens.yaml"]


@pytest.mark.parametrize(
    ("program", "image"),
    [("collector", "otelcol"), ("prometheus", "prometheus"), ("alertmanager", "alertmanager"), ("loki", "loki")],
)
def test_the_versions_are_those_of_the_native_build(program: str, image: str) -> None:
    tag = checks.read(checks.BASE)["services"][image]["image"].rpartition(":")[2].removeprefix("v")
    build = (ROOT / "compose" / "native" / program / "go.mod").read_text()
    if program == "prometheus":  # the module's v0.314.0 is the release 3.14.0
        major, minor, patch = tag.split(".")
        tag = f"0.{major}{int(minor):02}.{patch}"
    module = {
        "collector": "go.opentelemetry.io/collector/receiver/otlpreceiver",
        "prometheus": "github.com/prometheus/prometheus",
        "alertmanager": "github.com/prometheus/alertmanager",
        "loki": "github.com/grafana/loki/v3",
    }[program]
    assert re.search(rf"{re.escape(module)} v{re.escape(tag)}\b", build), tag
