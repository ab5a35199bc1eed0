"""Counts the attempts at one provider, or one model of it: by second for 5 minutes, by minute for 24 hours.

Input: each attempt that is evidence about the provider, as it ends. Output: exact counts of
the last 5 minutes, and one row per whole minute of the last day. Memory is constant: at most one
slot per second and one row per minute, however much traffic there is. The counts of a window
depend on what was added and on the given time, never on how often they are read.
"""

import math
import threading
from array import array
from collections import deque
from collections.abc import Sequence
from typing import Final

import msgspec

from app.providers.latency_sketch import LatencySketch, PackedSketch, bin_of

WINDOW_SECONDS: Final = 300
DAY_MINUTES: Final = 1_440
_MINUTE_SECONDS: Final = 60
_MOST_WAITING: Final = 64


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How one attempt ended.

    `latency_seconds`: until the caller had something to read (the first token of a stream, else the
    whole response). `duration_seconds`: until the end. Both matter only where it did not fail.
    """

    failed: bool
    latency_seconds: float = 0.0
    duration_seconds: float = 0.0
    input_tokens: int = 0
    output_tokens: int = 0


class WindowCounts(msgspec.Struct, frozen=True, kw_only=True):
    """The last 5 minutes. `latency_p95_seconds` is over the attempts that succeeded; None without any."""

    attempts: int
    failures: int
    latency_p95_seconds: float | None

    @property
    def error_rate(self) -> float | None:
        """Failed share of the attempts, 0 to 1; None without attempts."""
        return self.failures / self.attempts if self.attempts else None


class MinuteCounts(msgspec.Struct, frozen=True, kw_only=True):
    """One whole minute. `minute` counts minutes of the monotonic clock; durations are those of the attempts that succeeded."""

    minute: int
    attempts: int
    failures: int
    input_tokens: int
    output_tokens: int
    duration_p50_seconds: float | None
    duration_p95_seconds: float | None


class _Second:
    """The attempts of one second. Its latencies are packed once it is over."""

    __slots__ = ("attempts", "failures", "latencies", "second")

    def __init__(self, second: int, latencies: LatencySketch) -> None:
        self.second = second
        self.attempts = 0
        self.failures = 0
        self.latencies: LatencySketch | PackedSketch = latencies


class _Minutes:
    """A ring of rows, one per minute of a day, and the minute that is not over yet."""

    def __init__(self, started_seconds: float) -> None:
        # A minute that was observed in part gets no row: its counts would be too low.
        self.first = math.ceil(started_seconds / _MINUTE_SECONDS)
        self.open = math.floor(started_seconds / _MINUTE_SECONDS)
        self._counts = {
            name: array("Q", bytes(8 * DAY_MINUTES))
            for name in ("attempts", "failures", "input_tokens", "output_tokens")
        }
        # NaN stands for a minute in which nothing succeeded.
        self._p50 = array("d", bytes(8 * DAY_MINUTES))
        self._p95 = array("d", bytes(8 * DAY_MINUTES))
        self._begin()

    def _begin(self) -> None:
        self._durations = LatencySketch()
        for column in self._counts.values():
            column[self.open % DAY_MINUTES] = 0

    def roll(self, second: int) -> None:
        """Close the minutes that are over."""
        minute = second // _MINUTE_SECONDS
        if minute - self.open > DAY_MINUTES:
            # Every row is older than a day: begin with empty ones.
            self.open = minute - DAY_MINUTES
            self._begin()
        while self.open < minute:
            p50, p95 = self._durations.quantiles((0.5, 0.95))
            self._p50[self.open % DAY_MINUTES] = math.nan if p50 is None else p50
            self._p95[self.open % DAY_MINUTES] = math.nan if p95 is None else p95
            self.open += 1
            self._begin()

    def add(self, outcomes: Sequence[Outcome], duration_bins: Sequence[int]) -> None:
        """Count attempts in the open minute; `duration_bins` are those of the ones that did not fail."""
        at = self.open % DAY_MINUTES
        counts = self._counts
        counts["attempts"][at] += len(outcomes)
        counts["failures"][at] += len(outcomes) - len(duration_bins)
        counts["input_tokens"][at] += sum([each.input_tokens for each in outcomes])
        counts["output_tokens"][at] += sum([each.output_tokens for each in outcomes])
        self._durations.add_all(duration_bins)

    def rows(self, count: int) -> list[MinuteCounts]:
        """Return the newest whole minutes, the oldest first."""
        oldest = max(self.first, self.open - min(count, DAY_MINUTES - 1))
        return [self._row(minute) for minute in range(oldest, self.open)]

    def _row(self, minute: int) -> MinuteCounts:
        at = minute % DAY_MINUTES
        p50, p95 = self._p50[at], self._p95[at]
        return MinuteCounts(
            minute=minute,
            **{name: column[at] for name, column in self._counts.items()},
            duration_p50_seconds=None if math.isnan(p50) else p50,
            duration_p95_seconds=None if math.isnan(p95) else p95,
        )


class AttemptWindow:
    """One window. Times are seconds of one monotonic clock; safe from any thread.

    An attempt counts for the second in which it ended and the 299 seconds after it. It waits in a list first, since many
    are counted in little more time than one: until the second is over, the window is read, or the list is full.
    """

    def __init__(self, started_seconds: float) -> None:
        self._lock = threading.Lock()
        self._seconds: deque[_Second] = deque()
        self._now = math.floor(started_seconds)
        self._attempts = 0
        self._failures = 0
        self._latencies = LatencySketch()
        self._newest = LatencySketch()
        self._minutes = _Minutes(started_seconds)
        self._waiting: list[Outcome] = []

    def add(self, now_seconds: float, outcome: Outcome) -> None:
        """Count an attempt that ends now; a clock reading older than the newest counts as the newest."""
        with self._lock:
            if now_seconds >= self._now + 1:
                self._advance(now_seconds)
            if not self._waiting:
                self._slot()
            self._waiting.append(outcome)
            if len(self._waiting) >= _MOST_WAITING:
                self._count_waiting()

    def _count_waiting(self) -> None:
        """Count the attempts that wait; all of them ended in this second."""
        outcomes, self._waiting = self._waiting, []
        good = [each for each in outcomes if not each.failed]
        latency_bins = [bin_of(each.latency_seconds) for each in good]
        # A logarithm each: both are the same where a response is not streamed.
        duration_bins = [
            index if each.duration_seconds == each.latency_seconds else bin_of(each.duration_seconds)
            for index, each in zip(latency_bins, good, strict=True)
        ]
        slot = self._slot()
        slot.attempts += len(outcomes)
        self._attempts += len(outcomes)
        slot.failures += len(outcomes) - len(good)
        self._failures += len(outcomes) - len(good)
        self._newest.add_all(latency_bins)
        self._latencies.add_all(latency_bins)
        self._minutes.add(outcomes, duration_bins)

    def _slot(self) -> _Second:
        """Return the counts of this second."""
        if not self._seconds or self._seconds[-1].second != self._now:
            if self._seconds:
                self._seconds[-1].latencies = self._newest.packed()
            self._newest = LatencySketch()
            self._seconds.append(_Second(self._now, self._newest))
        return self._seconds[-1]

    def counts(self, now_seconds: float) -> WindowCounts:
        """Return the counts of the last 5 minutes."""
        with self._lock:
            self._advance(now_seconds)
            return WindowCounts(
                attempts=self._attempts,
                failures=self._failures,
                latency_p95_seconds=self._latencies.quantile(0.95),
            )

    def minutes(self, now_seconds: float, count: int = DAY_MINUTES) -> list[MinuteCounts]:
        """Return the newest `count` whole minutes, the oldest first; minutes before the window began are not in it."""
        with self._lock:
            self._advance(now_seconds)
            return self._minutes.rows(count)

    def _advance(self, now_seconds: float) -> None:
        """Count what waits, and drop the seconds that have left the window."""
        if self._waiting:
            self._count_waiting()
        now = math.floor(now_seconds)
        if now <= self._now:
            return
        self._now = now
        while self._seconds and self._seconds[0].second <= self._now - WINDOW_SECONDS:
            gone = self._seconds.popleft()
            self._attempts -= gone.attempts
            self._failures -= gone.failures
            self._latencies.remove(gone.latencies)
        self._minutes.roll(self._now)
