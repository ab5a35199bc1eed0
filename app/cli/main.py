"""COMMAND LINE: `python -m app serve | keys | doctor | check-config`.

Comes in: arguments and the environment. Goes out: an exit code: 0 done, 1 it could not be done (one
line on stderr says why), 2 the arguments make no sense.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence

import msgspec

from app.cli.check_config import run_check_config
from app.cli.keys import add_keys_parser, run_keys
from app.config.load import CONFIG_VARIABLE, ConfigError, load_config
from app.doctor.parser import add_doctor_parser
from app.version import VERSION

_MAX_PORT = 65_535
PROGRAM = "python -m app"


def main(arguments: Sequence[str], environ: Mapping[str, str], program: str = PROGRAM) -> int:
    """Run one command; `program` is how it was called, for usage messages."""
    parser = _parser(program)
    if not arguments:
        parser.print_help(sys.stderr)
        return 2
    args = parser.parse_args(arguments)
    path = args.config or environ.get(CONFIG_VARIABLE)
    if not path and args.command != "doctor":
        sys.stderr.write(
            f"gateway: no configuration: give --config FILE or set {CONFIG_VARIABLE};"
            f" gatewayz.example.toml explains every key: copy it and keep what you change\n"
        )
        return 1
    if args.command == "check-config":
        return run_check_config(path or "", environ)
    return _run(args, path, environ)


def _run(args: argparse.Namespace, path: str | None, environ: Mapping[str, str]) -> int:
    """Run a command that needs the configuration."""
    try:
        config = load_config(path, environ) if path else None
    except ConfigError as error:
        sys.stderr.write(f"gateway: {error}\n")
        return 2 if args.command == "doctor" else 1
    if args.command == "doctor" or config is None:
        from app.doctor.command import run_doctor  # noqa: PLC0415  as below

        return run_doctor(args, config, environ)
    if args.command == "keys":
        return run_keys(args, config, environ)
    from app.server.process import serve  # noqa: PLC0415  `keys` and --help need not wait for the server's imports

    overrides = {name: value for name in ("host", "port") if (value := getattr(args, name)) is not None}
    return serve(msgspec.structs.replace(config, server=msgspec.structs.replace(config.server, **overrides)), environ)


def _parser(program: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=program, description="An LLM gateway that can be observed.")
    parser.add_argument(
        "--config",
        metavar="FILE",
        help=f"the TOML file with the configuration (default: the variable {CONFIG_VARIABLE})",
    )
    parser.add_argument("--version", action="version", version=f"gatewayz {VERSION}")
    # The option is taken behind the command as well; there it has no default, which would undo the one before.
    config_option = argparse.ArgumentParser(add_help=False)
    config_option.add_argument("--config", metavar="FILE", default=argparse.SUPPRESS, help="as before the command")
    commands = parser.add_subparsers(dest="command", required=True, metavar="serve|keys|doctor|check-config")
    serve = commands.add_parser(
        "serve", parents=[config_option], help="serve requests until SIGTERM or SIGINT; a second signal ends at once"
    )
    serve.add_argument("--host", help="the address to listen on (default: server.host of the configuration)")
    serve.add_argument("--port", type=_port, help="the port, 0 for any free one (default: server.port)")
    add_keys_parser(commands, config_option)
    add_doctor_parser(commands, config_option)
    commands.add_parser(
        "check-config",
        parents=[config_option],
        help="check the configuration and the variables that it names, and start nothing",
        description="Prints ok and what is configured, or every mistake. Exit code: 0 it can be used, 1 it cannot.",
    )
    return parser


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or int(text) > _MAX_PORT:
        raise argparse.ArgumentTypeError(f"{text} is not a number from 0 to {_MAX_PORT}")
    return int(text)
