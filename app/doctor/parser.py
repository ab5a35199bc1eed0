"""The options of `gatewayz doctor`."""

import argparse
import math
from typing import Final

from app.doctor.settings import DEFAULTS, OFF, VARIABLE_PREFIX

_MAX_TIMEOUT_SECONDS: Final = 600.0


def add_doctor_parser(
    subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]", common: argparse.ArgumentParser
) -> None:
    """Add `doctor` with its options."""
    parser = subparsers.add_parser(
        "doctor",
        parents=[common],
        help="follow one request through the whole pipeline and name what is broken",
        description="Sends one marked request through the running gateway, follows it hop by hop, and names the broken hop with its fix."
        f" Secrets are read from {VARIABLE_PREFIX}KEY (an API key), {VARIABLE_PREFIX}METRICS_TOKEN and {VARIABLE_PREFIX}GRAFANA_TOKEN."
        " With --config the providers are queried as well, with their keys.",
        epilog="Exit code: 0 nothing is broken, 1 something is, 2 the arguments or the configuration are invalid.",
    )
    for name, default in DEFAULTS.items():
        table = "server" if name == "gateway" else "doctor"
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            metavar="URL",
            help=f"or {VARIABLE_PREFIX}{name.upper()}, or [{table}] of the configuration; default {default}; `{OFF}` leaves it out",
        )
    parser.add_argument(
        "--otlp",
        metavar="URL",
        help="where OTLP is expected (default: the OTEL_EXPORTER_OTLP_* variables, or port 4318); `off` for a gateway without a"
        " pipeline: servers whose address is not given are not used then",
    )
    parser.add_argument(
        "--key",
        help=f"the API key of the marked request, `-` to read it from stdin (better than on the command line: {VARIABLE_PREFIX}KEY);"
        " without one it gets 401",
    )
    parser.add_argument(
        "--model",
        metavar="NAME",
        help="send a chat completion of one token to this model instead of listing the models",
    )
    parser.add_argument("--no-request", action="store_true", help="send no request, only query the servers")
    parser.add_argument(
        "--timeout", type=_seconds, default=30.0, metavar="SECONDS", help="how long to wait in all (default 30)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds <= _MAX_TIMEOUT_SECONDS:
        raise argparse.ArgumentTypeError(f"{text} is not a number of seconds from 0 to {_MAX_TIMEOUT_SECONDS:g}")
    return seconds
