"""SCREEN: what a person sees of a run: progress lines, a summary that refreshes, and the table at the end.

Comes in: books and findings. Goes out: text to a terminal, or to a file where a refreshing block
would be noise. It computes nothing but sums over the books.
"""

import itertools
import os
import textwrap
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TextIO

from demo.books import Books
from demo.output.findings import Findings, Line

PLAIN_EVERY_SECONDS: Final = 5.0
TERMINAL_EVERY_SECONDS: Final = 1.0
_NANO: Final = 1_000_000_000
_CLIENT_ERRORS: Final = range(400, 499)
_SERVER_ERRORS: Final = 500
_NUMBER_WIDTH: Final = 16
_MOST_SURPRISES: Final = 20
_KEPT_LINES: Final = 50
_LABEL_WIDTH: Final = 14
_USUAL_SIZE: Final = os.terminal_size((80, 24))
_STATUSES: Final = ("success", "error", "cancelled")
_LEDGER_ROWS: Final = frozenset(f"ledger: rows {status}" for status in _STATUSES)


class Screen:
    """Writes to one stream; `is_terminal` tells whether a block may be redrawn in place, `size` returns the terminal's.

    The terminal never wraps a line of the block, so that its height is known: the summary is wrapped here, and what still does not
    fit is cut. A terminal that was resized has moved what is on it in a way of
    its own: it is cleared and drawn again.
    """

    def __init__(
        self, stream: TextIO, *, is_terminal: bool, size: Callable[[], os.terminal_size] | None = None
    ) -> None:
        self._stream = stream
        self._is_terminal = is_terminal
        self._size = size or self._terminal_size
        self._drawn_lines = 0
        self._drawn_size: os.terminal_size | None = None
        self._said: deque[str] = deque(maxlen=_KEPT_LINES)

    @property
    def every_seconds(self) -> float:
        """How often to refresh."""
        return TERMINAL_EVERY_SECONDS if self._is_terminal else PLAIN_EVERY_SECONDS

    def say(self, text: str) -> None:
        """Print lines that stay, in place of the block."""
        erased = self._erase()
        self._drawn_lines = 0
        self._said += text.split("\n")
        self._write(f"{erased}{text}\n")

    def refresh(self, books: Books, *, elapsed_seconds: float, in_hand: int, more: Sequence[str] = ()) -> None:
        """Show where the run stands, and `more` lines on it."""
        if not self._is_terminal:
            line = one_line(books, elapsed_seconds=elapsed_seconds, in_hand=in_hand)
            self._write("".join(f"{each}\n" for each in (line, *more)))
            return
        size = self._size()
        columns = size.columns - 1
        wrapped = (_wrap(line, columns) for line in summary(books, elapsed_seconds=elapsed_seconds, in_hand=in_hand))
        lines = [*itertools.chain.from_iterable(wrapped), *more]
        lines = [line[:columns] for line in lines[: size.lines - 1]]
        self._write(self._erase() + "".join(f"{line}\n" for line in lines))
        self._drawn_lines = len(lines)
        self._drawn_size = size

    def _erase(self) -> str:
        """Return what removes the block: up to its start and clear, or all of a terminal that was resized."""
        if not self._drawn_lines:
            return ""
        if self._size() == self._drawn_size:
            return f"\x1b[{self._drawn_lines}F\x1b[J"
        return "\x1b[H\x1b[2J" + "".join(f"{line}\n" for line in self._said)

    def _terminal_size(self) -> os.terminal_size:
        try:
            size = os.get_terminal_size(self._stream.fileno())
        except (OSError, ValueError):
            return _USUAL_SIZE
        return size if size.columns > 1 and size.lines > 1 else _USUAL_SIZE

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


def _wrap(line: str, columns: int) -> list[str]:
    """Wrap one line of the summary below its label; a terminal that has no room beside the label gets it as it is."""
    if len(line) <= columns or columns <= 2 * _LABEL_WIDTH:
        return [line]
    return textwrap.wrap(line, columns, subsequent_indent=" " * _LABEL_WIDTH, break_long_words=False)


def summary(books: Books, *, elapsed_seconds: float, in_hand: int) -> list[str]:
    """Return the summary as lines."""
    per_second = books.requests / elapsed_seconds if elapsed_seconds > 0 else 0.0
    ledger = books.ledger
    return [
        f"  {'requests':<12}{books.requests:,} in {elapsed_seconds:.0f} s, {per_second:.0f} a second, {in_hand} in flight",
        f"  {'answers':<12}{answers(books):,} whole, {books.real_answers} of them from the real model; p95 {p95(books)}",
        f"  {'errors':<12}{causes(books)}",
        f"  {'tokens':<12}{ledger['input tokens']:,} in, {ledger['output tokens']:,} out",
        f"  {'cost':<12}{usd(ledger['cost (nano-USD)'])}, charged {usd(ledger['credits (nano-USD)'])}",
    ]


def one_line(books: Books, *, elapsed_seconds: float, in_hand: int) -> str:
    """Return the summary as one line."""
    tokens = books.ledger["input tokens"] + books.ledger["output tokens"]
    return (
        f"demo: {elapsed_seconds:3.0f} s  {books.requests:,} requests ({in_hand} in flight), {causes(books)};"
        f" {tokens:,} tokens, {usd(books.ledger['cost (nano-USD)'])}, p95 {p95(books)}, real answers {books.real_answers}"
    )


def answers(books: Books) -> int:
    """Return how many calls were answered well."""
    return books.ledger["rows success"]


def causes(books: Books) -> str:
    """Return the errors by cause, as clients saw them."""
    statuses = books.statuses
    parts = {
        "refused": sum(count for code, count in statuses.items() if code in _CLIENT_ERRORS),
        "failed": sum(count for code, count in statuses.items() if code >= _SERVER_ERRORS),
        "broken streams": books.kinds["broken stream"] + books.kinds["silent stream"],
        "clients left": books.ledger["rows cancelled"],
    }
    return ", ".join(f"{count:,} {cause}" for cause, count in parts.items())


def p95(books: Books) -> str:
    """Return the 95th percentile of the latest whole answers, as the clients measured them."""
    if not books.durations_seconds:
        return "-"
    ordered = sorted(books.durations_seconds)
    return f"{ordered[int(0.95 * (len(ordered) - 1))]:.2f} s"


def usd(nano: int) -> str:
    """Write an amount of nano-US-dollars."""
    return f"${nano / _NANO:,.4f}"


def table(findings: Findings, *, shows_all: bool = False) -> list[str]:
    """Return the lines that differ, or all of them, with both numbers; then the notes and the result."""
    shown = findings.lines if shows_all else findings.differences
    width = max((len(line.what) for line in shown), default=0)
    head = f"{'':<{width}}  {'traffic counted':>{_NUMBER_WIDTH}}  {'gateway reports':>{_NUMBER_WIDTH}}"
    lines = [head, *(_row(line, width) for line in shown)] if shown else []
    lines += findings.notes
    lines += [f"surprise: {surprise}" for surprise in findings.surprises[:_MOST_SURPRISES]]
    return [*lines, verdict(findings)]


def _row(line: Line, width: int) -> str:
    mark = "" if line.is_equal else "  <- DIFFERENT"
    return f"{line.what:<{width}}  {line.books:>{_NUMBER_WIDTH},}  {line.other:>{_NUMBER_WIDTH},}{mark}"


def verdict(findings: Findings) -> str:
    """Return the one line that says how the comparison ended."""
    different, surprises = len(findings.differences), len(findings.surprises)
    if findings.is_good:
        return f"{len(findings.lines)} lines compared, no difference"
    extra = sum(line.other - line.books for line in findings.lines if line.what in _LEDGER_ROWS)
    note = f"; the gateway also served {extra} calls of another client" if extra > 0 else ""
    return f"{len(findings.lines)} lines compared, {different} differ, {surprises} surprises{note}"


def ledger_line(ledger: Mapping[str, int], findings: Findings) -> str:
    """Return what the ledger holds, and whether the cost metric says the same."""
    calls = sum(ledger.get(f"rows {status}", 0) for status in _STATUSES)
    cost = usd(ledger.get("cost (nano-USD)", 0))
    agreed = not any("gatewayz_cost_by_provider" in line.what for line in findings.differences)
    verb = "the same as" if agreed else "NOT the same as"
    return f"  {'ledger':<12}{calls:,} calls, {cost}: {verb} gatewayz_cost_by_provider, to the nano-dollar"


def places(gateway_url: str, key: str | None, has_real_model: bool) -> Sequence[str]:
    """Return the URLs to open, and a request to try."""
    model = "smollm2-135m" if has_real_model else "aurora-large"
    return [
        f"  {gateway_url}/metrics                       every metric",
        f"  {gateway_url}/prometheus/metrics/providers  one category; also system, models, business, performance",
        f"  {gateway_url}/prometheus/metrics/summary    numbers in JSON",
        f"  {gateway_url}/prometheus/metrics/docs       what each metric means",
        f"  {gateway_url}/health/ready                  each dependency",
        f"  curl {gateway_url}/v1/chat/completions -H 'Authorization: Bearer {key}' \\",
        f'    -d \'{{"model": "{model}", "messages": [{{"role": "user", "content": "Why is the sky blue?"}}]}}\'',
    ]
