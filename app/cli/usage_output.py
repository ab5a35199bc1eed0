"""Writes a usage report as a table, as CSV or as JSON; money as exact decimal US dollars.

CSV and JSON have every sum; the table leaves out columns that are 0 everywhere.
"""

import csv
import io
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime
from typing import Any, Final

import msgspec

from app.store.usage_report import Group, UsageSums
from console.csv_text import inert
from otel.events.usage import NANO

_CENTS: Final = 2


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Sums by group of `by`, of the days from `first` to `last`."""

    by: tuple[str, ...]
    first: date
    last: date
    groups: Mapping[Group, UsageSums]


def usd(nanousd: int) -> str:
    """Return nano-US-dollars as US dollars, exactly, with two digits at least."""
    whole, part = divmod(abs(nanousd), NANO)
    digits = f"{part:09d}".rstrip("0").ljust(_CENTS, "0")
    return f"{'-' if nanousd < 0 else ''}{whole}.{digits}"


def _unpriced_nanousd(sums: UsageSums) -> int:
    known = sums.reported_cost_nanousd + sums.priced_cost_nanousd + sums.estimated_cost_nanousd
    return sums.cost_nanousd - known


_COLUMNS: Final[dict[str, tuple[str, Callable[[UsageSums], int]]]] = {
    "calls": ("calls", lambda sums: sums.calls),
    "failures": ("failed", lambda sums: sums.failures),
    "input_tokens": ("input", lambda sums: sums.input_tokens),
    "cached_tokens": ("cached", lambda sums: sums.cached_tokens),
    "cache_write_tokens": ("write", lambda sums: sums.cache_write_tokens),
    "input_audio_tokens": ("audio in", lambda sums: sums.input_audio_tokens),
    "output_tokens": ("output", lambda sums: sums.output_tokens),
    "reasoning_tokens": ("reasoning", lambda sums: sums.reasoning_tokens),
    "output_audio_tokens": ("audio out", lambda sums: sums.output_audio_tokens),
    "unpriced_tokens": ("unpriced", lambda sums: sums.unpriced_tokens),
    "cost_usd": ("cost USD", lambda sums: sums.cost_nanousd),
    "reported_cost_usd": ("reported", lambda sums: sums.reported_cost_nanousd),
    "priced_cost_usd": ("priced", lambda sums: sums.priced_cost_nanousd),
    "estimated_cost_usd": ("estimated", lambda sums: sums.estimated_cost_nanousd),
    "unpriced_cost_usd": ("partly unpriced", _unpriced_nanousd),
    "credits_usd": ("charged USD", lambda sums: sums.credits_nanousd),
    "exposure_usd": ("exposure USD", lambda sums: sums.exposure_nanousd),
}
_ALWAYS: Final = frozenset({"calls", "input_tokens", "output_tokens", "cost_usd"})


def rendered(report: Report, form: str) -> str:
    """Return the text of a report."""
    return _FORMS[form](report)


def _names(group: Group) -> tuple[str, ...]:
    """Return a group as text: a day by its date."""
    return tuple(
        datetime.fromtimestamp(value / 1_000, UTC).date().isoformat() if isinstance(value, int) else value
        for value in group
    )


def _ordered(report: Report) -> list[tuple[Group, UsageSums]]:
    """Sort by day where that comes first, else by cost, the largest first."""
    if report.by[0] == "day":
        return sorted(report.groups.items())
    return sorted(report.groups.items(), key=lambda entry: (-entry[1].cost_nanousd, entry[0]))


def _total(report: Report) -> UsageSums:
    total = UsageSums()
    for sums in report.groups.values():
        total = total.plus(sums)
    return total


def _value(name: str, sums: UsageSums) -> int | str:
    value = _COLUMNS[name][1](sums)
    return usd(value) if name.endswith("_usd") else value


def _table(report: Report) -> str:
    if not report.groups:
        return f"no calls from {report.first} to {report.last}"
    total = _total(report)
    used = [name for name, (_, read) in _COLUMNS.items() if name in _ALWAYS or read(total)]
    rows = [[*report.by, *(_COLUMNS[name][0] for name in used)]]
    for group, sums in _ordered(report):
        names = [name or "-" for name in _names(group)]
        rows.append([*names, *(_cell(_value(name, sums)) for name in used)])
    blanks = [""] * (len(report.by) - 1)
    rows.append(["total", *blanks, *(_cell(_value(name, total)) for name in used)])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(_lines(rows, widths, len(report.by)))


def _lines(rows: list[list[str]], widths: list[int], names: int) -> Iterator[str]:
    for row in rows:
        cells = [
            cell.ljust(width) if column < names else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()


def _cell(value: int | str) -> str:
    return f"{value:,}" if isinstance(value, int) else value


def _csv(report: Report) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*report.by, *_COLUMNS])
    for group, sums in _ordered(report):
        writer.writerow([*map(inert, _names(group)), *(_value(name, sums) for name in _COLUMNS)])
    return text.getvalue().rstrip("\n")


def _json(report: Report) -> str:
    rows = [dict(zip(report.by, _names(group), strict=True)) | _values(sums) for group, sums in _ordered(report)]
    document = {
        "from": report.first.isoformat(),
        "to": report.last.isoformat(),
        "by": report.by,
        "rows": rows,
        "total": _values(_total(report)),
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode()


def _values(sums: UsageSums) -> dict[str, Any]:
    return {name: _value(name, sums) for name in _COLUMNS}


_FORMS: Final[dict[str, Callable[[Report], str]]] = {"table": _table, "csv": _csv, "json": _json}
FORMATS: Final = tuple(_FORMS)
