"""The port of each server of a stack, and the variables that pass the ports to the configuration files."""

import socket
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import msgspec

LOOPBACK: Final = "127.0.0.1"


class PortTakenError(RuntimeError):
    """A port is in use; the message says which, and what to do."""


class Ports(msgspec.Struct, frozen=True, kw_only=True):
    """Every port of one stack; the defaults are the documented ones."""

    collector_otlp_grpc: int = 4317
    collector_otlp_http: int = 4318
    collector_health: int = 13133
    collector_metrics: int = 8888
    prometheus: int = 9090
    loki: int = 3100
    loki_grpc: int = 9095
    tempo: int = 3200
    tempo_grpc: int = 9096
    tempo_otlp: int = 4319
    tempo_memberlist: int = 7946
    alertmanager: int = 9093

    def check(self) -> None:
        """Raise `PortTakenError` for the first port that something else listens on."""
        for name in self.__struct_fields__:
            port = getattr(self, name)
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind((LOOPBACK, port))
                except OSError:
                    raise PortTakenError(
                        f"port {port} ({name}) is in use; end what listens there, or set STACK_PORTS=free for any free ports"
                    ) from None


def free_ports() -> Ports:
    """Return ports that nothing listens on now. They are below the range that outgoing connections take theirs from."""
    names = Ports.__struct_fields__
    found: list[int] = []
    with ExitStack() as held:
        for port in _candidates():
            probe = socket.socket()
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                probe.close()
                continue
            held.enter_context(probe)
            found.append(port)
            if len(found) == len(names):
                return Ports(**dict(zip(names, found, strict=True)))
    raise PortTakenError("there are no free ports")


def _candidates() -> list[int]:
    """Return ports outside the ephemeral range, from a start that differs from process to process."""
    low = _ephemeral_start()
    first = 10_000
    ports = list(range(first, low))
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        turn = probe.getsockname()[1] * 37 % len(ports)
    return ports[turn:] + ports[:turn]


def _ephemeral_start() -> int:
    try:
        return int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except (OSError, ValueError):
        return 32_768


def variables(ports: Ports, data: Path) -> dict[str, str]:
    """Return what the configuration files read from the environment, for a stack on loopback with its data below `data`."""
    return {
        "STACK_LISTEN": LOOPBACK,
        "COLLECTOR_OTLP_GRPC_PORT": str(ports.collector_otlp_grpc),
        "COLLECTOR_OTLP_HTTP_PORT": str(ports.collector_otlp_http),
        "COLLECTOR_HEALTH_PORT": str(ports.collector_health),
        "COLLECTOR_METRICS_PORT": str(ports.collector_metrics),
        "COLLECTOR_DATA": f"{data}/otelcol",
        "PROMETHEUS_URL": f"http://{LOOPBACK}:{ports.prometheus}",
        "LOKI_URL": f"http://{LOOPBACK}:{ports.loki}",
        "LOKI_PORT": str(ports.loki),
        "LOKI_GRPC_PORT": str(ports.loki_grpc),
        "LOKI_DATA": f"{data}/loki",
        "TEMPO_PORT": str(ports.tempo),
        "TEMPO_GRPC_PORT": str(ports.tempo_grpc),
        "TEMPO_OTLP_PORT": str(ports.tempo_otlp),
        "TEMPO_OTLP_ADDRESS": f"{LOOPBACK}:{ports.tempo_otlp}",
        "TEMPO_MEMBERLIST_PORT": str(ports.tempo_memberlist),
        "TEMPO_DATA": f"{data}/tempo",
    }
