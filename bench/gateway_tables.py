"""The tables of `bench.gateway`, for a terminal and for docs/performance.md.

    python -m bench.gateway_tables [--report docs/performance.json] [--page docs/performance.md]

writes the report into the page, between its two `gateway` comments.
"""

import argparse
import math
import textwrap
from collections.abc import Sequence
from pathlib import Path

from bench.gateway_report import Report, Spread, from_json, measured_pairs
from bench.gateway_variants import EXPLAINED, OFF
from bench.page import put_into

DOCS = Path(__file__).resolve().parent.parent / "docs"
BUSY_LOAD_AVERAGE = 0.5
"""A machine with more than this before the run had other work, so its absolute figures are too low."""

_FIGURES = (
    ("per_second", "requests/s", 0),
    ("p50_milliseconds", "p50 (ms)", 2),
    ("p99_milliseconds", "p99 (ms)", 2),
    ("cpu_microseconds", "CPU per request (us)", 0),
    ("context_switches", "context switches per request", 2),
)
_RATIOS = (
    ("per_second", "requests/s"),
    ("cpu_microseconds", "CPU"),
    ("p50_milliseconds", "p50"),
    ("p99_milliseconds", "p99"),
)


def number(spread: Spread, digits: int) -> str:
    """Return the median, with the lowest and the highest behind it where they differ from it."""
    if math.isnan(spread.median):
        return "-"
    median, lowest, highest = (f"{value:.{digits}f}" for value in (spread.median, spread.lowest, spread.highest))
    return median if lowest == highest else f"{median} ({lowest}-{highest})"


def figure_rows(report: Report) -> list[list[str]]:
    """Return the table of figures: a heading and a row for each point and variant."""
    rows = [["response", "connections", "variant", *(title for _, title, _ in _FIGURES)]]
    for kind, connections in report.points():
        for variant in report.variants():
            figures = (number(report.spread(variant, kind, connections, name), digits) for name, _, digits in _FIGURES)
            rows.append([kind, str(connections), variant, *figures])
    return rows


def ratio_rows(report: Report) -> list[list[str]]:
    """Return the table of ratios: a heading and a row for each point; medians of the rounds' ratios."""
    columns = [
        (pair, name, f"{'/'.join(pair)} {title}")
        for pair in measured_pairs(report)
        for name, title in (_RATIOS if pair[1] == OFF else _RATIOS[:1])
    ]
    rows = [["response", "connections", *(title for _, _, title in columns)]]
    for kind, connections in report.points():
        ratios = (number(report.ratio(pair, kind, connections, name), 2) for pair, name, _ in columns)
        rows.append([kind, str(connections), *ratios])
    return rows


def remarks(report: Report) -> list[str]:
    """Return how it was measured, one fact a line."""
    setting = report.setting
    return [
        *_busy(report),
        f"Rounds: {setting.rounds}, {setting.seconds} s for each row; medians, lowest and highest in brackets.",
        f"Cores: {setting.cores}.",
        f"Load: {setting.load}. Upstream: {setting.upstream}. {setting.system}, {setting.core_count} cores, Python {setting.python}.",
        *(f"{name}: {EXPLAINED[name]}." for name in report.variants()),
        *(f"{name} was skipped: {reason}." for name, reason in setting.skipped.items()),
    ]


def _busy(report: Report) -> list[str]:
    """Return a warning where the machine had other work."""
    load_average = report.setting.load_average_before
    if load_average <= BUSY_LOAD_AVERAGE:
        return []
    reason = f"load average {load_average:.1f} before the run"
    return [f"The machine was busy with other work ({reason}): absolute figures are too low, and the spread is wide."]


def as_text(report: Report) -> str:
    """Return both tables for a terminal."""
    parts = [_aligned(figure_rows(report)), _aligned(ratio_rows(report)), "\n".join(remarks(report))]
    return "\n\n".join(part for part in parts if part)


def as_markdown(report: Report) -> str:
    """Return remarks and both tables for a page, ratios first."""
    listed = "\n".join(
        textwrap.fill(line, 100, initial_indent="- ", subsequent_indent="  ", break_on_hyphens=False)
        for line in remarks(report)
    )
    return "\n\n".join([listed, _markdown(ratio_rows(report), 2), _markdown(figure_rows(report), 3)])


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _markdown(rows: Sequence[Sequence[str]], names: int) -> str:
    """Return a table whose columns after the first `names` hold figures."""
    heading, *body = (f"| {' | '.join(row)} |" for row in rows)
    return "\n".join([heading, "|---" * names + "|---:" * (len(rows[0]) - names) + "|", *body])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--report", type=Path, default=DOCS / "performance.json")
    parser.add_argument("--page", type=Path, default=DOCS / "performance.md")
    arguments = parser.parse_args()
    put_into(arguments.page, "gateway", as_markdown(from_json(arguments.report)))


if __name__ == "__main__":
    main()
