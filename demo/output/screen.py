"""Prints the progress of a run: lines that stay, and a summary that is redrawn.

On a terminal the summary is redrawn in place. In a file it is one line every few seconds.
"""

import itertools
import os
import textwrap
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, TextIO

from demo.counted import counted
from demo.traffic.counters import TrafficCounters

PLAIN_EVERY_SECONDS: Final = 5.0
TERMINAL_EVERY_SECONDS: Final = 1.0
_NANO: Final = 1_000_000_000
_CLIENT_ERRORS: Final = range(400, 499)
_SERVER_ERRORS: Final = 500
_KEPT_LINES: Final = 50
_LABEL_WIDTH: Final = 14
_USUAL_SIZE: Final = os.terminal_size((80, 24))


class Screen:
    """Writes to one stream; `is_terminal` tells whether a block may be redrawn in place, `size` returns the terminal's.

    The terminal never wraps a line of the block, so that its height is known: the summary is wrapped here, and what still does not
    fit is cut. A terminal that was resized is cleared and drawn again.
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

    def refresh(
        self, counters: TrafficCounters, *, elapsed_seconds: float, in_flight: int, more: Sequence[str] = ()
    ) -> None:
        """Show the progress, and `more` lines."""
        if not self._is_terminal:
            line = one_line(counters, elapsed_seconds=elapsed_seconds, in_flight=in_flight)
            self._write("".join(f"{each}\n" for each in (line, *more)))
            return
        size = self._size()
        columns = size.columns - 1
        wrapped = (
            _wrap(line, columns) for line in summary(counters, elapsed_seconds=elapsed_seconds, in_flight=in_flight)
        )
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


def summary(counters: TrafficCounters, *, elapsed_seconds: float, in_flight: int) -> list[str]:
    """Return the summary as lines."""
    per_second = counters.requests / elapsed_seconds if elapsed_seconds > 0 else 0.0
    ledger = counters.ledger
    return [
        f"  {'requests':<12}{counters.requests:,} in {elapsed_seconds:.0f} s, {per_second:.0f} a second, {in_flight} in flight",
        f"  {'answers':<12}{responses(counters):,} whole, {counters.real_responses} of them from the real model; p95 {p95(counters)}",
        f"  {'errors':<12}{causes(counters)}",
        f"  {'tokens':<12}{ledger['input tokens']:,} in, {ledger['output tokens']:,} out",
        f"  {'cost':<12}{usd(ledger['cost (nano-USD)'])} at providers, {usd(ledger['credits (nano-USD)'])} charged to keys",
    ]


def one_line(counters: TrafficCounters, *, elapsed_seconds: float, in_flight: int) -> str:
    """Return the summary as one line."""
    tokens = counters.ledger["input tokens"] + counters.ledger["output tokens"]
    return (
        f"demo: {elapsed_seconds:3.0f} s  {counted(counters.requests, 'request')} ({in_flight} in flight), {causes(counters)};"
        f" {counted(tokens, 'token')}, {usd(counters.ledger['cost (nano-USD)'])}, p95 {p95(counters)}, real answers {counters.real_responses}"
    )


def responses(counters: TrafficCounters) -> int:
    """Return how many calls succeeded."""
    return counters.ledger["rows success"]


def causes(counters: TrafficCounters) -> str:
    """Return the errors by cause, as clients saw them."""
    statuses = counters.statuses
    parts = {
        "refused": sum(count for code, count in statuses.items() if code in _CLIENT_ERRORS),
        "failed": sum(count for code, count in statuses.items() if code >= _SERVER_ERRORS),
        "broken streams": counters.kinds["broken stream"] + counters.kinds["silent stream"],
        "clients left": counters.ledger["rows cancelled"],
    }
    return ", ".join(f"{count:,} {cause}" for cause, count in parts.items())


def p95(counters: TrafficCounters) -> str:
    """Return the 95th percentile of the latest whole responses, as the clients measured them."""
    if not counters.durations_seconds:
        return "-"
    ordered = sorted(counters.durations_seconds)
    return f"{ordered[int(0.95 * (len(ordered) - 1))]:.2f} s"


def usd(nano: int) -> str:
    """Write an amount of nano-US-dollars."""
    return f"${nano / _NANO:,.4f}"


def places(gateway_url: str, key: str | None, has_real_model: bool, console_url: str = "") -> Sequence[str]:
    """Return the URLs to open, and a request to try."""
    model = "smollm2-135m" if has_real_model else "aurora-large"
    return [
        *(
            [f"  {console_url}/                              the console: metrics, traces and logs"]
            if console_url
            else ()
        ),
        f"  {gateway_url}/metrics                       every metric",
        f"  {gateway_url}/prometheus/metrics/providers  one category; also system, models, business, performance",
        f"  {gateway_url}/prometheus/metrics/summary    numbers in JSON",
        f"  {gateway_url}/prometheus/metrics/docs       what each metric means",
        f"  {gateway_url}/health/ready                  each dependency",
        f"  curl {gateway_url}/v1/chat/completions -H 'Authorization: Bearer {key}' \\",
        # Without a bound the real model may write for half a minute.
        f'    -d \'{{"model": "{model}", "max_tokens": 48, "messages": [{{"role": "user", "content": "Why is the sky blue?"}}]}}\'',
    ]
