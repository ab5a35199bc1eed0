"""COMMAND LINE: `python -m app serve | keys`.

Comes in: arguments and the environment. Goes out: an exit code: 0 done, 1 it could not be done (one line on stderr says
why), 2 the arguments make no sense.
"""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence

import msgspec

from app.config_load import CONFIG_VARIABLE, ConfigError, load_config
from app.keys_cli import add_keys_parser, run_keys

_MAX_PORT = 65_535


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run one command."""
    args = _parser().parse_args(arguments)
    path = args.config or environ.get(CONFIG_VARIABLE)
    if not path:
        sys.stderr.write(f"gateway: no configuration: give --config FILE or set {CONFIG_VARIABLE}\n")
        return 1
    try:
        config = load_config(path)
    except ConfigError as error:
        sys.stderr.write(f"gateway: {error}\n")
        return 1
    if args.command == "keys":
        return run_keys(args, config, environ)
    from app.server import serve  # noqa: PLC0415  `keys` and --help need not wait for the server's imports

    overrides = {name: value for name in ("host", "port") if (value := getattr(args, name)) is not None}
    return serve(msgspec.structs.replace(config, server=msgspec.structs.replace(config.server, **overrides)), environ)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m app", description="An LLM gateway that can be observed.")
    parser.add_argument(
        "--config",
        metavar="FILE",
        help=f"the TOML file with the configuration (default: the variable {CONFIG_VARIABLE})",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="serve|keys")
    serve = commands.add_parser("serve", help="serve requests until SIGTERM or SIGINT; a second signal ends at once")
    serve.add_argument("--host", help="the address to listen on (default: server.host of the configuration)")
    serve.add_argument("--port", type=_port, help="the port, 0 for any free one (default: server.port)")
    add_keys_parser(commands)
    for command in commands.choices.values():
        command.add_argument("--config", metavar="FILE", default=argparse.SUPPRESS, help="as before the command")
    return parser


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= _MAX_PORT:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and {_MAX_PORT}")
    return port


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
