"""Prints the result of a comparison as lines of text."""

from collections.abc import Mapping
from typing import Final

from demo.counted import counted
from demo.output.screen import usd
from tests.reconcile.findings import Findings, Line

_NUMBER_WIDTH: Final = 16
_MOST_MISMATCHES: Final = 20
_STATUSES: Final = ("success", "error", "cancelled")
_LEDGER_ROWS: Final = frozenset(f"ledger: rows {status}" for status in _STATUSES)


def table(findings: Findings, *, shows_all: bool = False) -> list[str]:
    """Return the lines that differ, or all of them, with both numbers; then the notes, the mismatches and the verdict."""
    shown = findings.lines if shows_all else findings.differences
    width = max((len(line.what) for line in shown), default=0)
    head = f"{'':<{width}}  {'traffic counted':>{_NUMBER_WIDTH}}  {'gateway reports':>{_NUMBER_WIDTH}}"
    lines = [head, *(_row(line, width) for line in shown)] if shown else []
    lines += findings.notes
    lines += [f"mismatch: {mismatch}" for mismatch in findings.mismatches[:_MOST_MISMATCHES]]
    return [*lines, verdict(findings)]


def _row(line: Line, width: int) -> str:
    mark = "" if line.is_equal else "  <- DIFFERENT"
    return f"{line.what:<{width}}  {line.expected:>{_NUMBER_WIDTH},}  {line.reported:>{_NUMBER_WIDTH},}{mark}"


def verdict(findings: Findings) -> str:
    """Return the line that sums up the comparison."""
    different, mismatches = len(findings.differences), len(findings.mismatches)
    if findings.is_good:
        return f"{len(findings.lines)} lines compared, no difference"
    extra = sum(line.reported - line.expected for line in findings.lines if line.what in _LEDGER_ROWS)
    note = f"; the gateway also served {counted(extra, 'call')} of another client" if extra > 0 else ""
    return f"{len(findings.lines)} lines compared, {different} differ, {mismatches} mismatches{note}"


def ledger_line(ledger: Mapping[str, int], findings: Findings) -> str:
    """Return what the ledger holds, and whether the cost metric agrees with it."""
    calls = sum(ledger.get(f"rows {status}", 0) for status in _STATUSES)
    cost = usd(ledger.get("cost (nano-USD)", 0))
    agreed = not any("gatewayz_cost_by_provider" in line.what for line in findings.differences)
    verb = "the same as" if agreed else "NOT the same as"
    return f"  {'ledger':<12}{counted(calls, 'call')}, {cost}: {verb} gatewayz_cost_by_provider, to the nano-dollar"
