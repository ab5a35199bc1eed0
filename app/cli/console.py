"""`gatewayz console`: receives telemetry and shows it in a browser, until SIGTERM or Ctrl-C."""

import argparse
import contextlib
import sys
from collections.abc import Mapping
from typing import Final

from app.version import VERSION
from console.settings import TOKEN_VARIABLE, Options, SettingError, read_settings

_DEFAULTS: Final = Options()
_EXAMPLES: Final = """examples:
  {program}                                       keep the last day, show it on http://127.0.0.1:8100
  {program} --retention 7d --max-bytes 4GiB       keep a week, in at most 4 GiB
  {program} --listen 0.0.0.0:8100                 for other machines: needs a token

Point any OpenTelemetry program at it: OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318 with OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf.
What is older than the caps is deleted. There are no alerts: docs/console.md says what the console is not.

environment:
  {token}  the token that every address but loopback needs, at least 16 characters

exit code: 0 stopped by a signal; 1 it could not start; 2 an argument is invalid"""


def add_console_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `console` with its options."""
    parser = subparsers.add_parser(
        "console",
        help="receive metrics, traces and logs by OTLP and show them in a browser",
        description="Receives OTLP over HTTP from the gateway, a Collector or any other OpenTelemetry program, keeps it in one"
        " SQLite file, and serves a page that shows it.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.epilog = _EXAMPLES.format(program=parser.prog, token=TOKEN_VARIABLE)
    parser.add_argument(
        "--listen",
        default=_DEFAULTS.listen,
        metavar="HOST:PORT",
        help="where the page is (default: %(default)s; port 0: any free one)",
    )
    parser.add_argument(
        "--otlp",
        default=_DEFAULTS.otlp,
        metavar="HOST:PORT",
        help="where OTLP over HTTP is received (default: %(default)s; port 0: any free one)",
    )
    parser.add_argument(
        "--data",
        metavar="FILE",
        help="the SQLite file (default: gatewayz-observability/console.sqlite in $XDG_CACHE_HOME or ~/.cache)",
    )
    parser.add_argument(
        "--retention",
        default=_DEFAULTS.retention,
        metavar="TIME",
        help="what is older is deleted: 90m, 24h, 7d (default: %(default)s)",
    )
    parser.add_argument(
        "--max-bytes",
        default=_DEFAULTS.max_bytes,
        metavar="SIZE",
        help="the size of the file; beyond it the oldest is deleted: 512MiB, 1GiB (default: %(default)s)",
    )
    parser.add_argument(
        "--host-name",
        action="append",
        default=[],
        metavar="NAME",
        help="a name besides localhost by which browsers reach the page; may be repeated",
    )
    parser.add_argument(
        "--grafana-link",
        metavar="URL",
        help="links a trace to Grafana; {trace_id} in the URL is replaced",
    )
    parser.add_argument("--tempo-link", metavar="URL", help="links a trace to Tempo, likewise")
    # For a parent process: the console ends with it, even if it is killed.
    parser.add_argument("--until-stdin-ends", action="store_true", help=argparse.SUPPRESS)


def run_console_command(args: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Run the console; return the exit code."""
    try:
        options = Options(
            listen=args.listen,
            otlp=args.otlp,
            data=args.data,
            retention=args.retention,
            max_bytes=args.max_bytes,
            host_names=tuple(args.host_name),
            grafana_link=args.grafana_link,
            tempo_link=args.tempo_link,
        )
        settings = read_settings(options, environ)
    except SettingError as error:
        _print_line(str(error))
        return 2
    from console.process import run_console  # noqa: PLC0415  --help and a mistake need not wait for the server's imports

    return run_console(
        settings, _print_line, version=VERSION, lifeline=sys.stdin.fileno() if args.until_stdin_ends else None
    )


def _print_line(line: str) -> None:
    with contextlib.suppress(OSError):  # no reader any more, or a full disk
        sys.stderr.write(f"console: {line}\n")
        sys.stderr.flush()
