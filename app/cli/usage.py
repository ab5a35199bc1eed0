"""`gatewayz usage`: what calls used and cost, from the ledger, by day, provider, model, key, plan or tag.

Prints a table, CSV or JSON on stdout and one line per error on stderr. The exit code is 0, 1 when the
database failed or an invoice differs, 2 when the arguments are invalid or an invoice cannot be read.
"""

import argparse
import asyncio
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final, TextIO

from app.cli.command_error import CommandError, report_error
from app.cli.existing_database import existing_database_url
from app.cli.invoice import InvoiceError, read_invoice
from app.cli.invoice_comparison import Comparison, compare, comparison_text, upstream_names
from app.cli.usage_output import FORMATS, Report, rendered
from app.config.load import ConfigError
from app.config.rules import TAG_NAME
from app.config.schema import AppConfig
from app.errors import StoreUnavailableError
from app.gateway.clock import SystemClock
from app.gateway.ports import Clock
from app.store.cost_rollup import DAY_MS
from app.store.database import DatabaseOpenError, close_database, open_database
from app.store.usage_report import DIMENSIONS, TAG_PREFIX, read_usage
from otel.recording.noop import DisabledRecorder

_EXAMPLES: Final = """examples:
  gatewayz usage                                        the last 30 days, by day
  gatewayz usage --by provider,model --from 2026-11-01  this month's cost of each model
  gatewayz usage --invoice november.csv --provider openai
                                                        each difference to what the provider bills
  gatewayz usage --by key --format csv > keys.csv       for a spreadsheet
"""
_DEFAULT_DAYS: Final = 30
_PROGRESS_STEP: Final = 100
_FIRST_DAY: Final = date(1970, 1, 1)


def add_usage_parser(
    subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]", common: argparse.ArgumentParser
) -> None:
    """Add `usage` with its options."""
    parser = subparsers.add_parser(
        "usage",
        parents=[common],
        help="report tokens and costs from the ledger",
        description="Sums the ledger's calls, exactly. Days are UTC."
        " Exit code: 1 where the database failed or the invoice differs, 2 for invalid arguments or an invoice that cannot be read.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--by",
        default="day",
        metavar="LIST",
        help="day, provider, model, key, plan, tag:NAME; several with commas (default: day)",
    )
    parser.add_argument(
        "--from", dest="since", type=_day, metavar="DAY", help="the first day, as in 2026-11-01 (default: 30 days)"
    )
    parser.add_argument("--to", dest="until", type=_day, metavar="DAY", help="the last day (default: today)")
    parser.add_argument("--invoice", metavar="FILE", help="compare with a provider's export: CSV or JSON lines")
    parser.add_argument("--provider", help="whose export it is (default: the only provider of the configuration)")
    parser.add_argument("--format", choices=FORMATS, default="table", help="table, csv or json (default: table)")


def run_usage(
    args: argparse.Namespace,
    config: AppConfig,
    environ: Mapping[str, str],
    *,
    clock: Clock | None = None,
    stdout: TextIO | None = None,
    stderr: TextIO | None = None,
) -> int:
    """Run the command and return the exit code. Starts an event loop of its own."""
    clock = clock or SystemClock()

    def progress(done: int, of: int) -> None:
        if done % _PROGRESS_STEP == 0:
            print(f"usage: {done} of {of} new hours or days of the ledger are summed", file=stderr or sys.stderr)

    try:
        url = existing_database_url(config, environ)
        if args.invoice is not None:
            comparison = _compare(args, config, url, clock, progress=progress)
            print(comparison_text(comparison, args.format), file=stdout or sys.stdout)
            return 1 if comparison.differences else 0
        by = _dimensions(args.by)
        first, last = _days(args, clock)
        report = asyncio.run(_read(by, first, last, url, clock, progress=progress))
    except InvoiceError as error:
        return report_error("usage", CommandError(str(error), 2), stderr or sys.stderr)
    except (CommandError, ConfigError, DatabaseOpenError, StoreUnavailableError) as error:
        return report_error("usage", error, stderr or sys.stderr)
    print(rendered(report, args.format), file=stdout or sys.stdout)
    return 0


async def _read(
    by: Sequence[str], first: date, last: date, url: str, clock: Clock, *, progress: Callable[[int, int], None]
) -> Report:
    engine = await open_database(url, DisabledRecorder())
    try:
        groups = await read_usage(
            engine, by, _unix_ms(first), _unix_ms(last) + DAY_MS, clock.unix_ms(), progress=progress
        )
    finally:
        await close_database(engine)
    return Report(by=tuple(by), first=first, last=last, groups=groups)


def _compare(
    args: argparse.Namespace, config: AppConfig, url: str, clock: Clock, *, progress: Callable[[int, int], None]
) -> Comparison:
    """Compare an invoice with the ledger, from its first day to its last one, or the days that were given."""
    provider = _invoice_provider(args, config)
    invoice = read_invoice(Path(args.invoice))
    days = [day for day, _ in invoice]
    first, last = _in_order(args.since or min(days), args.until or max(days))
    report = asyncio.run(_read(("day", "provider", "model"), first, last, url, clock, progress=progress))
    ledger = {
        (_FIRST_DAY + timedelta(milliseconds=int(day)), str(model)): sums
        for (day, name, model), sums in report.groups.items()
        if name == provider
    }
    chosen = {key: line for key, line in invoice.items() if first <= key[0] <= last}
    return compare(chosen, ledger, upstream_names(config, provider))


def _invoice_provider(args: argparse.Namespace, config: AppConfig) -> str:
    names = [provider.name for provider in config.providers]
    if args.provider is not None:
        # One that is no longer configured is still in the ledger.
        return str(args.provider)
    if len(names) != 1:
        raise CommandError(f"--invoice needs --provider; the configuration has: {', '.join(names) or 'none'}", 2)
    return names[0]


def _dimensions(text: str) -> list[str]:
    """Return what to group by; raises `CommandError`."""
    names = [name.strip() for name in text.split(",")]
    for name in names:
        tag = name.removeprefix(TAG_PREFIX)
        if name not in DIMENSIONS and (tag == name or not TAG_NAME.fullmatch(tag)):
            raise CommandError(f"--by takes {', '.join(DIMENSIONS)} and {TAG_PREFIX}NAME, not {name[:40]!r}", 2)
    if len(set(names)) < len(names):
        raise CommandError("--by has a name twice", 2)
    return names


def _days(args: argparse.Namespace, clock: Clock) -> tuple[date, date]:
    last = args.until or datetime.fromtimestamp(clock.unix_ms() / 1_000, UTC).date()
    first = args.since or max(_FIRST_DAY, last - timedelta(days=_DEFAULT_DAYS - 1))
    return _in_order(first, last)


def _in_order(first: date, last: date) -> tuple[date, date]:
    """Return both days; raises `CommandError` where the first is after the last."""
    if first > last:
        raise CommandError(f"--from {first} is after --to {last}", 2)
    return first, last


def _day(text: str) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a day as in 2026-11-01") from None
    if day < _FIRST_DAY:
        raise argparse.ArgumentTypeError(f"{text} is before {_FIRST_DAY}")
    return day


def _unix_ms(day: date) -> int:
    return (day - _FIRST_DAY).days * DAY_MS
