"""Workloads for the anomaly detector: minutes of real and synthetic requests without anomalies.

Each minute is a list of (input tokens, output tokens). The real trace lasts an hour. A longer run repeats it: each round
starts at another place, is thinned by the time of day (to a quarter at night), and moves each arrival by up to 30 s.
"""

import math
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, TypeAlias

import msgspec

from demo.traffic.arrivals import TRACE, Arrival, read_trace

Minute: TypeAlias = list[tuple[int, int]]
DAY_MINUTES: Final = 1_440


class Workload(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of traffic. `long_injections`: so little traffic that five minutes hold next to nothing."""

    name: str
    minutes: Callable[[random.Random], Iterator[Minute]]
    long_injections: bool = False


def daily(minute: int, low: float) -> float:
    """Return the time of day's share of the peak: a cosine between `low` at 3 o'clock and 1 at 15 o'clock."""
    return low + (1 - low) * (0.5 - 0.5 * math.cos(2 * math.pi * (minute - 180) / DAY_MINUTES))


def trace_once(path: Path = TRACE) -> list[Minute]:
    """Return the trace as it is, minute by minute."""
    return _by_minute(read_trace(path, max_gap_seconds=math.inf))


def trace_looped(path: Path = TRACE) -> Callable[[random.Random], Iterator[Minute]]:
    """Return the trace indefinitely, with a daily rise and fall."""
    arrivals = read_trace(path, max_gap_seconds=math.inf)
    length = math.ceil(arrivals[-1].at_seconds / 60)

    def minutes(rng: random.Random) -> Iterator[Minute]:
        number = 0
        while True:
            start = rng.uniform(0, length * 60)
            moved = [
                Arrival(
                    (arrival.at_seconds + start + rng.uniform(-30, 30)) % (length * 60),
                    arrival.input_tokens,
                    arrival.output_tokens,
                )
                for arrival in arrivals
            ]
            by_minute = _by_minute(moved) + [[] for _ in range(length)]
            for requests in by_minute[:length]:
                share = daily(number, 0.25)
                yield [request for request in requests if rng.random() < share]
                number += 1

    return minutes


def _by_minute(arrivals: list[Arrival]) -> list[Minute]:
    result: list[Minute] = [[] for _ in range(int(max(each.at_seconds for each in arrivals) // 60) + 1)]
    for each in arrivals:
        result[int(each.at_seconds // 60)].append((each.input_tokens, each.output_tokens))
    return result


def _tokens(rng: random.Random, mean_in: float, mean_out: float) -> tuple[int, int]:
    """Draw a request: log-normal prompt and response."""
    put = int(rng.lognormvariate(math.log(mean_in), 1.1)) + 1
    got = int(rng.lognormvariate(math.log(mean_out), 0.9)) + 1
    return min(put, 120_000), min(got, 8_000)


def poisson(rng: random.Random, mean: float) -> int:
    """Draw a Poisson number."""
    if mean > 50:
        return max(0, round(rng.gauss(mean, math.sqrt(mean))))
    limit, count, product = math.exp(-mean), 0, rng.random()
    while product > limit:
        count += 1
        product *= rng.random()
    return count


def steady(
    per_minute: float, low: float = 1.0, mean_in: float = 800, mean_out: float = 180
) -> Callable[[random.Random], Iterator[Minute]]:
    """Return Poisson arrivals with a daily rise and fall to `low` of the peak."""

    def minutes(rng: random.Random) -> Iterator[Minute]:
        number = rng.randrange(DAY_MINUTES)
        while True:
            yield [_tokens(rng, mean_in, mean_out) for _ in range(poisson(rng, per_minute * daily(number, low)))]
            number += 1

    return minutes


def weekly(per_minute: float) -> Callable[[random.Random], Iterator[Minute]]:
    """Return office hours: a steep morning, a quiet night, weekends at a fifth."""

    def minutes(rng: random.Random) -> Iterator[Minute]:
        number = rng.randrange(7 * DAY_MINUTES)
        while True:
            day, at = divmod(number % (7 * DAY_MINUTES), DAY_MINUTES)
            rise = 1 / (1 + math.exp(-(at - 510) / 35))
            fall = 1 / (1 + math.exp((at - 1_080) / 50))
            share = (0.06 + 0.94 * rise * fall) * (0.2 if day >= 5 else 1.0)
            yield [_tokens(rng, 1_500, 120) for _ in range(poisson(rng, per_minute * share))]
            number += 1

    return minutes


def bursty(quiet_per_minute: float, busy_per_minute: float) -> Callable[[random.Random], Iterator[Minute]]:
    """Return a two-state Markov-modulated Poisson process: bursts of about 4 minutes, pauses of about 8."""

    def minutes(rng: random.Random) -> Iterator[Minute]:
        busy, number = False, rng.randrange(DAY_MINUTES)
        while True:
            if rng.random() < (1 / 4 if busy else 1 / 8):
                busy = not busy
            mean = (busy_per_minute if busy else quiet_per_minute) * daily(number, 0.4)
            yield [_tokens(rng, 400, 300) for _ in range(poisson(rng, mean))]
            number += 1

    return minutes


def wandering(per_minute: float) -> Callable[[random.Random], Iterator[Minute]]:
    """Return a rate that wanders: log-normal around its mean, remembered for about a quarter of an hour; prompts wander too."""

    def minutes(rng: random.Random) -> Iterator[Minute]:
        level, prompt, number = 0.0, 0.0, rng.randrange(DAY_MINUTES)
        while True:
            level += -level / 15 + rng.gauss(0, 0.12)
            prompt += -prompt / 30 + rng.gauss(0, 0.03)
            mean = per_minute * math.exp(level) * daily(number, 0.3)
            yield [_tokens(rng, 1_000 * math.exp(prompt), 200) for _ in range(poisson(rng, mean))]
            number += 1

    return minutes


WORKLOADS: Final = (
    Workload(name="trace", minutes=trace_looped()),
    Workload(name="steady 60/min", minutes=steady(60, low=0.3)),
    Workload(name="steady 1200/min", minutes=steady(1_200, low=0.5)),
    Workload(name="weekly 120/min", minutes=weekly(120)),
    Workload(name="bursty 10-200/min", minutes=bursty(10, 200)),
    Workload(name="wandering 100/min", minutes=wandering(100)),
    Workload(name="low 1/min", minutes=steady(1, low=0.5), long_injections=True),
)
