"""The command line: `gatewayz serve | console | keys | prices | usage | doctor | check-config | completion`, in a checkout `python -m app`.

The exit code is 0 when the command succeeded, 1 when it failed (one line on stderr is the reason),
and 2 when the arguments are invalid.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence

import msgspec

from app.cli.check_config import run_check_config
from app.cli.completion import PROGRAM, add_completion_parser, completion_script
from app.cli.console import add_console_parser, run_console_command
from app.cli.keys import add_keys_parser, run_keys
from app.cli.prices import add_prices_parser, run_prices
from app.cli.standard_streams import StandardStream
from app.cli.usage import add_usage_parser, run_usage
from app.config.load import CONFIG_VARIABLE, ConfigError, load_config
from app.config.schema import AppConfig
from app.doctor.parser import add_doctor_parser
from app.gateway.capacity.memory_allocator import return_free_memory
from app.version import VERSION
from console.settings import DEFAULT_LISTEN

_MAX_PORT = 65_535
_EXAMPLES = """examples:
  gatewayz keys create --name anna --plan free     make an API key and print its secret
  gatewayz serve                                   serve on 127.0.0.1:8000 with the defaults
  gatewayz --config gatewayz.toml serve --port 0   serve a configuration on any free port
  gatewayz --config gatewayz.toml check-config     print every mistake of a configuration
  gatewayz --config gatewayz.toml prices           list what each target costs
  gatewayz usage --by model                        report tokens and costs of the last 30 days
  gatewayz serve --console                         serve, with a page that shows metrics, traces and logs
  gatewayz doctor                                  follow one request through the pipeline
"""


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run one command."""
    parser = _parser()
    if not arguments:
        parser.print_help(sys.stderr)
        return 2
    args = parser.parse_args(arguments)
    if args.command == "completion":
        sys.stdout.write(completion_script(parser, args.shell))
        return 0
    if args.command == "console":
        return run_console_command(args, environ)
    path = args.config or environ.get(CONFIG_VARIABLE) or None
    if path is None and args.command != "doctor":
        sys.stderr.write(
            f"gateway: no configuration file, so the defaults apply; next: name providers and models in a file and pass it by"
            f" --config FILE or {CONFIG_VARIABLE} (gatewayz.example.toml shows every key)\n"
        )
    if args.command == "check-config":
        return run_check_config(path, environ)
    return _run(args, path, environ)


def _run(args: argparse.Namespace, path: str | None, environ: Mapping[str, str]) -> int:
    """Run a command that reads the configuration."""
    try:
        config = load_config(path, environ) if path or args.command != "doctor" else None
    except ConfigError as error:
        sys.stderr.write(f"gateway: {error}\n")
        return 2 if args.command == "doctor" else 1
    if args.command == "doctor" or config is None:
        from app.doctor.command import run_doctor  # noqa: PLC0415  as below

        return run_doctor(args, config, environ)
    if args.command == "keys":
        return run_keys(args, config, environ)
    if args.command == "prices":
        return run_prices(args, config)
    if args.command == "usage":
        return run_usage(args, config, environ)
    return _serve(args, config, environ)


def _serve(args: argparse.Namespace, config: AppConfig, environ: Mapping[str, str]) -> int:
    """Serve with the command line's address, and with a console beside it where that is wanted."""
    if isinstance(sys.stdout, StandardStream):
        # Log lines have a thread of their own, and a bounded queue that counts what it drops.
        sys.stdout.wait_for_reader()
    # Before the imports: one of them starts threads.
    return_free_memory()
    from app.process.serve import serve  # noqa: PLC0415  `keys` and --help need not wait for the server's imports

    overrides = {name: value for name in ("host", "port") if (value := getattr(args, name)) is not None}
    config = msgspec.structs.replace(config, server=msgspec.structs.replace(config.server, **overrides))
    options = {name: value for name in ("data", "retention") if (value := getattr(args, f"console_{name}")) is not None}
    if args.console is not None:
        from app.cli.console_process import ConsoleFailedError, running_console  # noqa: PLC0415  as above

        try:
            with running_console(args.console, options, environ) as with_console:
                return serve(config, with_console)
        except ConsoleFailedError:
            return 1
    for name in options:
        sys.stderr.write(f"gateway: --console-{name} is an option of the console: add --console\n")
        return 2
    return serve(config, environ)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="An OpenAI-compatible LLM gateway with metrics, traces and logs.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--config",
        metavar="FILE",
        help=f"the TOML file with the configuration (default: the variable {CONFIG_VARIABLE})",
    )
    parser.add_argument("--version", action="version", version=f"gatewayz {VERSION}")
    # The option may follow the command too; there it has no default, which would replace the value before the command.
    config_option = argparse.ArgumentParser(add_help=False)
    config_option.add_argument(
        "--config", metavar="FILE", default=argparse.SUPPRESS, help="the same option as before the command"
    )
    commands = parser.add_subparsers(
        dest="command", required=True, metavar="serve|console|keys|prices|usage|doctor|check-config|completion"
    )
    serve = commands.add_parser(
        "serve", parents=[config_option], help="serve requests until SIGTERM or SIGINT; a second signal ends at once"
    )
    serve.add_argument("--host", help="the address to listen on (default: server.host of the configuration)")
    serve.add_argument("--port", type=_port, help="the port, 0 for any free one (default: server.port)")
    serve.add_argument(
        "--console",
        nargs="?",
        const=DEFAULT_LISTEN,
        metavar="HOST:PORT",
        help=f"start `{PROGRAM} console` beside it (on {DEFAULT_LISTEN}, unless given), and send telemetry there unless an"
        " OTEL_EXPORTER_OTLP_ENDPOINT is set",
    )
    serve.add_argument("--console-data", metavar="FILE", help=f"--data of that console (see {PROGRAM} console --help)")
    serve.add_argument("--console-retention", metavar="TIME", help="--retention of that console: 90m, 24h, 7d")
    add_console_parser(commands)
    add_keys_parser(commands, config_option)
    add_prices_parser(commands, config_option)
    add_usage_parser(commands, config_option)
    add_doctor_parser(commands, config_option)
    commands.add_parser(
        "check-config",
        parents=[config_option],
        help="check the configuration and the variables that it names, and start nothing",
        description="Prints ok and what is configured, or every mistake. Exit code: 0 it can be used, 1 it cannot.",
    )
    add_completion_parser(commands)
    return parser


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or int(text) > _MAX_PORT:
        raise argparse.ArgumentTypeError(f"{text} is not a number from 0 to {_MAX_PORT}")
    return int(text)
