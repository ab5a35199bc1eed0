"""`gatewayz keys create | list | revoke`: makes and revokes API keys.

Prints text or JSON on stdout and one line per error on stderr. The exit code is 0 when done, 1 when
the database failed or has no such key, 2 when the arguments are invalid. Only `create` prints a
secret, and only the one that it made.
"""

import argparse
import asyncio
import secrets
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TextIO

import msgspec

from app.cli.command_error import CommandError, report_error
from app.cli.existing_database import existing_database_url
from app.config.load import ConfigError, resolve_database_url
from app.config.rules import MAX_NAME_CHARS
from app.config.schema import AppConfig
from app.errors import StoreUnavailableError
from app.gateway.clock import SystemClock
from app.gateway.ports import Clock
from app.store.database import DatabaseOpenError, close_database, open_database
from app.store.keys import ApiKey, ApiKeys
from otel.recording.noop import DisabledRecorder

_MAX_TRIAL_DAYS = 3_650
_COLUMNS = ("key_id", "secret", "status", "plan", "created", "trial ends", "name")


def add_keys_parser(
    subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]", common: argparse.ArgumentParser
) -> None:
    """Add `keys` with its three commands, each with the options of `common`; `args.keys_command` names the one given."""
    parser = subparsers.add_parser("keys", parents=[common], help="make, list and revoke API keys")
    commands = parser.add_subparsers(dest="keys_command", required=True, metavar="create|list|revoke")
    create = commands.add_parser("create", parents=[common], help="make a key and print its secret, once")
    create.add_argument("--name", required=True, help="whose key it is")
    create.add_argument("--plan", help="a plan of the configuration (default: its first plan)")
    create.add_argument("--trial-days", type=int, metavar="D", help="the key ends by itself after D days")
    revoke = commands.add_parser("revoke", parents=[common], help="end a key; running gateways notice within 5 seconds")
    revoke.add_argument("key_id", metavar="KEY_ID", help="as `keys list` shows it, key_…")
    listing = commands.add_parser("list", parents=[common], help="list all keys")
    for command in (create, listing, revoke):
        command.add_argument("--json", action="store_true", help="print JSON")


def run_keys(
    args: argparse.Namespace,
    config: AppConfig,
    environ: Mapping[str, str],
    *,
    clock: Clock | None = None,
    random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    stdout: TextIO | None = None,
    stderr: TextIO | None = None,
) -> int:
    """Run the command and return the exit code; migrates the database, and `create` makes it. Starts an event loop of its own."""
    clock = clock or SystemClock()
    try:
        text = asyncio.run(_run(args, _checked_url(args, config, environ), clock, random_bytes))
    except (CommandError, ConfigError, DatabaseOpenError, StoreUnavailableError) as error:
        return report_error("keys", error, stderr or sys.stderr)
    print(text, file=stdout or sys.stdout)
    return 0


def _checked_url(args: argparse.Namespace, config: AppConfig, environ: Mapping[str, str]) -> str:
    """Check the arguments, and return the URL of the database."""
    if args.keys_command == "create":
        args.plan = config.plans[0].name if args.plan is None else args.plan
        _check_new_key(args, config)
        return resolve_database_url(config, environ)
    if args.keys_command == "revoke" and args.key_id.startswith("gwz_"):
        raise CommandError("this is a secret; give the key's id, key_…, as `keys list` shows it", 2)
    return existing_database_url(config, environ)


async def _run(args: argparse.Namespace, url: str, clock: Clock, random_bytes: Callable[[int], bytes]) -> str:
    engine = await open_database(url, DisabledRecorder())
    try:
        keys = ApiKeys(engine, clock, random_bytes)
        if args.keys_command == "create":
            return await _create(keys, args, clock)
        if args.keys_command == "revoke":
            return await _revoke(keys, args, clock)
        return _listing(await keys.list_all(), clock, as_json=args.json)
    finally:
        await close_database(engine)


def _check_new_key(args: argparse.Namespace, config: AppConfig) -> None:
    plans = [plan.name for plan in config.plans]
    if args.plan not in plans:
        raise CommandError(f"no plan {args.plan!r}; the configuration has: {', '.join(plans)}", 2)
    if not args.name.strip() or len(args.name) > MAX_NAME_CHARS or not args.name.isprintable():
        raise CommandError(f"--name takes 1 to {MAX_NAME_CHARS} printable characters", 2)
    if args.trial_days is not None and not 1 <= args.trial_days <= _MAX_TRIAL_DAYS:
        raise CommandError(f"--trial-days takes 1 to {_MAX_TRIAL_DAYS}, not {args.trial_days}", 2)


async def _create(keys: ApiKeys, args: argparse.Namespace, clock: Clock) -> str:
    new = await keys.create(name=args.name, plan=args.plan, trial_days=args.trial_days)
    if args.json:
        return _json({"secret": new.secret} | _as_json(new.key, clock))
    ends = new.key.trial_ends_unix_ms
    trial = f", until {_time(ends)}" if ends is not None else ""
    return f"{new.secret}\n\n{new.key.key_id} for {new.key.name}, plan {new.key.plan}{trial}. Only its hash is kept: copy it now."


async def _revoke(keys: ApiKeys, args: argparse.Namespace, clock: Clock) -> str:
    result = await keys.revoke(args.key_id)
    if result is None:
        raise CommandError(f"no key {args.key_id!r}; `keys list` shows the ids", 1)
    key, is_new = result
    if args.json:
        return _json(_as_json(key, clock))
    when = _time(key.revoked_unix_ms)
    return (
        f"{key.key_id} revoked; running gateways refuse it within 5 seconds"
        if is_new
        else f"{key.key_id} was revoked before, {when}"
    )


def _listing(keys: list[ApiKey], clock: Clock, *, as_json: bool) -> str:
    if as_json:
        return _json([_as_json(key, clock) for key in keys])
    if not keys:
        return "no keys yet; `keys create --name NAME --plan PLAN` makes one"
    rows = [_COLUMNS, *(_row(key, clock) for key in keys)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _row(key: ApiKey, clock: Clock) -> tuple[str, ...]:
    trial = _time(key.trial_ends_unix_ms)
    status = key.status(clock.unix_ms())
    return key.key_id, f"{key.secret_prefix}…", status, key.plan, _time(key.created_unix_ms), trial, key.name


def _as_json(key: ApiKey, clock: Clock) -> dict[str, object]:
    return {**msgspec.structs.asdict(key), "status": key.status(clock.unix_ms())}


def _json(value: object) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def _time(unix_ms: int | None) -> str:
    """UTC to the minute; a dash for never."""
    return "-" if unix_ms is None else datetime.fromtimestamp(unix_ms / 1_000, UTC).strftime("%Y-%m-%d %H:%MZ")
