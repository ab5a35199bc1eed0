"""The command, configuration and readiness URL of each server, in the order of their start.

The configuration files are those of the containers. Only variables and the target files written here differ.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from compose.native.ports import LOOPBACK, Ports

ROOT: Final = Path(__file__).resolve().parents[2]
COLLECTOR_FILES: Final = ("base.yaml", "metrics.yaml", "traces.yaml", "logs.yaml")
PROMETHEUS_FILE: Final = "prometheus.yml"


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """One server: its command, where it runs, and the URL that answers 200 once it is ready. `stop_seconds`: patience after SIGTERM."""

    name: str
    command: tuple[str, ...]
    folder: Path
    ready_url: str
    url: str
    stop_seconds: float = 60.0


class Choices(msgspec.Struct, frozen=True, kw_only=True):
    """What of the configuration a stack uses: the Collector's files and Prometheus' main file, rules, the gateway to scrape, the webhook."""

    collector_files: tuple[str | Path, ...] = COLLECTOR_FILES
    """Names in `collector-config/`, or paths."""

    prometheus_file: str | Path = PROMETHEUS_FILE
    """A name in `compose/prometheus/`, or a path."""

    prometheus_flags: tuple[str, ...] = ()
    """Flags beside those that the container has too."""

    alertmanager_file: str | Path = "alertmanager.yml"
    """A name in `compose/alertmanager/`, or a path; templates are looked for beside it."""

    rules: Path = ROOT / "dashboards" / "rules"
    gateway_address: str = f"{LOOPBACK}:8000"
    webhook_url: str = f"http://{LOOPBACK}:9/"
    """Nothing listens on port 9 (discard): by default alerts are visible only in Alertmanager."""


def servers(binaries: Mapping[str, Path], ports: Ports, data: Path, choices: Choices) -> list[Server]:
    """Write what differs from stack to stack below `data`, and return the servers."""
    return [
        _alertmanager(binaries["alertmanager"], ports, data, choices),
        _prometheus(binaries["prometheus"], ports, data, choices),
        _loki(binaries["loki"], ports, data),
        _tempo(binaries["tempo"], ports, data),
        _collector(binaries["otelcol"], ports, data, choices),
    ]


def _alertmanager(binary: Path, ports: Ports, data: Path, choices: Choices) -> Server:
    folder = _made(data / "alertmanager")
    (folder / "webhook-url").write_text(choices.webhook_url)
    url = f"http://{LOOPBACK}:{ports.alertmanager}"
    command = (
        str(binary),
        f"--config.file={ROOT / 'compose' / 'alertmanager' / choices.alertmanager_file}",
        f"--storage.path={folder}/data",
        f"--web.listen-address={LOOPBACK}:{ports.alertmanager}",
        "--cluster.listen-address=",
        "--log.level=warn",
    )
    return Server(name="alertmanager", command=command, folder=folder, ready_url=f"{url}/-/ready", url=url)


def _prometheus(binary: Path, ports: Ports, data: Path, choices: Choices) -> Server:
    folder = _made(data / "prometheus")
    _link(folder / "prometheus.yml", ROOT / "compose" / "prometheus" / choices.prometheus_file)
    _link(folder / "rules", choices.rules)
    targets = _made(folder / "targets")
    for job, address in (
        ("gatewayz-backend", choices.gateway_address),
        ("otelcol", f"{LOOPBACK}:{ports.collector_metrics}"),
        ("prometheus", f"{LOOPBACK}:{ports.prometheus}"),
        ("loki", f"{LOOPBACK}:{ports.loki}"),
        ("tempo", f"{LOOPBACK}:{ports.tempo}"),
        ("alertmanager", f"{LOOPBACK}:{ports.alertmanager}"),
    ):
        (targets / f"{job}.yml").write_text(f'- targets: ["{address}"]\n')
    url = f"http://{LOOPBACK}:{ports.prometheus}"
    command = (
        str(binary),
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address={LOOPBACK}:{ports.prometheus}",
        "--web.enable-lifecycle",
        *PROMETHEUS_FLAGS,
        *choices.prometheus_flags,
    )
    return Server(name="prometheus", command=command, folder=folder, ready_url=f"{url}/-/ready", url=url)


PROMETHEUS_FLAGS: Final = (
    "--web.enable-otlp-receiver",
    "--web.enable-remote-write-receiver",  # Tempo's span metrics and service graph
    "--enable-feature=exemplar-storage",
    "--log.level=warn",
)
"""The flags that the container has too."""


def _loki(binary: Path, ports: Ports, data: Path) -> Server:
    url = f"http://{LOOPBACK}:{ports.loki}"
    command = (str(binary), f"-config.file={ROOT}/compose/loki/loki.yaml", "-config.expand-env=true")
    return Server(name="loki", command=command, folder=_made(data / "loki"), ready_url=f"{url}/ready", url=url)


def _tempo(binary: Path, ports: Ports, data: Path) -> Server:
    url = f"http://{LOOPBACK}:{ports.tempo}"
    command = (str(binary), f"-config.file={ROOT}/compose/tempo/tempo.yaml", "-config.expand-env=true")
    return Server(name="tempo", command=command, folder=_made(data / "tempo"), ready_url=f"{url}/ready", url=url)


def _collector(binary: Path, ports: Ports, data: Path, choices: Choices) -> Server:
    command = (str(binary), *collector_arguments(choices.collector_files))
    return Server(
        name="otelcol",
        command=command,
        folder=_made(data / "otelcol"),
        ready_url=f"http://{LOOPBACK}:{ports.collector_health}/",
        url=f"http://{LOOPBACK}:{ports.collector_otlp_http}",
    )


def collector_arguments(files: Sequence[str | Path]) -> list[str]:
    """Return the Collector's arguments for these files of `collector-config/`."""
    return [f"--config={ROOT / 'collector-config' / name}" for name in files]


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _link(place: Path, target: Path) -> None:
    """Prometheus resolves relative paths from where its file is named, not from where a link leads."""
    place.unlink(missing_ok=True)
    place.symlink_to(target)
