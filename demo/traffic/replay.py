"""Sends the demo's traffic to a gateway that runs elsewhere, as in another container.

`python -m demo.traffic.replay prepare FOLDER --upstream URL` writes the gateway's configuration, database and API keys
into a folder that the gateway shares. `python -m demo.traffic.replay send FOLDER --gateway URL --upstream URL` sends
until SIGTERM or SIGINT. SPEED and SEED are as in `make demo`. Exit code 0: stopped by a signal. 1: failed, or a response
did not match its plan. 2: a setting is invalid.
"""

import argparse
import asyncio
import json
import os
import random
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from demo.environment import MALFORMED_KEY, UNKNOWN_KEY, create_key, revoked_key
from demo.gateway_config import FREE_PLAN, LIMITED_PLANS, GatewayFile
from demo.output.screen import one_line
from demo.process import ChildFailedError
from demo.settings import SettingError, Settings, read_settings
from demo.traffic.arrivals import read_trace
from demo.traffic.counters import TrafficCounters
from demo.traffic.schedule import ScheduleOptions, schedule
from demo.traffic.sender import Traffic

SAY_EVERY_SECONDS: Final = 30.0
_CLOSED_URL: Final = "http://127.0.0.1:9"
"""Nothing listens on port 9 (discard) in the gateway's container."""


async def prepare(folder: Path, *, upstream_url: str) -> None:
    """Write what the gateway and the traffic need; existing keys are kept. The folder exists. Raises `ChildFailedError`."""
    file = GatewayFile(
        port=0,
        database_path=str(folder / "gateway.db"),
        upstream_url=upstream_url,
        closed_url=_CLOSED_URL,
        real_url=None,
        is_monitoring_open=True,  # Prometheus scrapes it from another container
    )
    config_path = folder / "gateway.toml"
    config_path.write_text(file.as_toml())
    if _keys_path(folder).exists():
        return
    # The first key creates the database; the others can be created concurrently.
    secrets = {"main": (await create_key(config_path, "main", FREE_PLAN))[0]}
    names = ("revoked", *(plan.name for plan in LIMITED_PLANS))
    made = await asyncio.gather(
        revoked_key(config_path), *(create_key(config_path, plan.name, plan.name) for plan in LIMITED_PLANS)
    )
    secrets |= {name: secret for name, (secret, _) in zip(names, made, strict=True)}
    _keys_path(folder).touch(mode=0o600)
    _keys_path(folder).write_text(json.dumps(secrets))


async def send(folder: Path, settings: Settings, *, gateway_url: str, upstream_url: str) -> int:
    """Send until a signal comes; return the exit code."""
    keys: dict[str, str] = json.loads(_keys_path(folder).read_text())
    file = GatewayFile(port=0, database_path="", upstream_url=upstream_url, closed_url=_CLOSED_URL, real_url=None)
    traffic = Traffic(
        gateway_url=gateway_url,
        upstream_url=upstream_url,
        keys={"none": None, "malformed": MALFORMED_KEY, "unknown": UNKNOWN_KEY, **keys},
        counters=TrafficCounters(file.models),
        monotonic=time.monotonic,
    )
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    plan = schedule(
        read_trace(), ScheduleOptions(seed=settings.seed, run=f"replay{settings.seed}", speed=settings.speed)
    )
    print(
        f"replay: sending to {gateway_url} at {settings.speed:g} times the trace's pace, SEED={settings.seed}",
        flush=True,
    )
    sending = asyncio.create_task(traffic.run(plan, stop))
    began_seconds = time.monotonic()
    while not sending.done():
        await asyncio.wait({sending}, timeout=SAY_EVERY_SECONDS)
        elapsed_seconds = time.monotonic() - began_seconds
        print(one_line(traffic.counters, elapsed_seconds=elapsed_seconds, in_flight=traffic.in_flight), flush=True)
    await sending
    for mismatch in traffic.counters.mismatches:
        print(f"replay: {mismatch}", file=sys.stderr)
    return 1 if traffic.counters.mismatches else 0


def _keys_path(folder: Path) -> Path:
    return folder / "keys.json"


def _settings() -> Settings:
    settings = read_settings(os.environ, new_seed=random.SystemRandom().randrange(1_000_000))
    if settings.scenario is not None:
        raise SettingError("SCENARIO is for `make demo`: it takes a gateway whose circuit breakers and cadences fit")
    return settings


def main(arguments: Sequence[str]) -> int:
    """Run one command."""
    parser = argparse.ArgumentParser(
        prog="python -m demo.traffic.replay", description=(__doc__ or "").partition("\n")[0]
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="prepare|send")
    for name, text in (("prepare", "write configuration and keys into FOLDER"), ("send", "send traffic until SIGTERM")):
        command = commands.add_parser(name, help=text)
        command.add_argument("folder", type=Path, metavar="FOLDER")
        command.add_argument("--upstream", required=True, metavar="URL", help="the scripted upstream")
        if name == "send":
            command.add_argument("--gateway", required=True, metavar="URL", help="the gateway")
    args = parser.parse_args(arguments)
    try:
        if args.command == "prepare":
            args.folder.mkdir(parents=True, exist_ok=True)
            asyncio.run(prepare(args.folder, upstream_url=args.upstream))
            return 0
        settings = _settings()
        return asyncio.run(send(args.folder, settings, gateway_url=args.gateway, upstream_url=args.upstream))
    except SettingError as error:
        print(f"replay: {error}", file=sys.stderr)
        return 2
    except (ChildFailedError, OSError, ValueError) as error:
        print(f"replay: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
