"""Runs the anomaly detector over a workload with injected anomalies, and scores its alarms.

The score per type is precision (alarms that are right) and recall (injected anomalies that are found). A duration is
(fixed + per token) x the route's speed x a log-normal factor, and for one attempt in a hundred a Pareto factor. An alarm is right
when it names a scope that the injected cause affects, between its start and five minutes after its end. A second alarm
for the same cause is wrong, and so is an alarm of another type.
"""

import random
from collections.abc import Iterator, Sequence
from typing import Final, Literal, TypeAlias

import msgspec

from app.anomaly.detector import AnomalyDetector
from app.anomaly.incidents import Began, Connections
from app.anomaly.reading import AnomalyType, Scope
from app.config.schema import AnomaliesConfig
from bench.anomaly_workloads import Minute

Kind: TypeAlias = Literal["latency", "errors", "surge", "drop", "tokens"]

ROUTES: Final = (("alpha", "chat-a"), ("beta", "chat-a"), ("beta", "chat-b"), ("gamma", "chat-b"))
_WEIGHTS: Final = (0.35, 0.15, 0.2, 0.3)
_SPEEDS: Final = (1.0, 1.6, 0.7, 2.5)
_TARGETS: Final = tuple(
    Scope(*each)
    for each in (
        ("provider", "alpha"),
        ("provider", "beta"),
        ("provider", "gamma"),
        ("model", "chat-a"),
        ("model", "chat-b"),
        ("gateway", "all"),
    )
)
TYPE_OF_KIND: Final[dict[Kind, AnomalyType]] = {
    "latency": "latency_spike",
    "errors": "error_surge",
    "surge": "unusual_pattern",
    "drop": "unusual_pattern",
    "tokens": "unusual_pattern",
}
_START_UNIX_MINUTE: Final = 28_333_440
_USUAL_ERROR_RATE: Final = 0.01
_GRACE_MINUTES: Final = 5


class Injection(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that goes wrong. `size`: a factor; for errors the failed share; for a drop the share that is left."""

    kind: Kind
    target: Scope
    start: int
    minutes: int
    size: float

    def hits(self, provider: str, model: str) -> bool:
        """Tell whether attempts of a route are hit."""
        return self.target.kind == "gateway" or self.target.name in (provider, model)


class Sizes(msgspec.Struct, frozen=True, kw_only=True):
    """How large what is injected is: ranges to draw from. Minutes are those of ordinary traffic."""

    latency: tuple[float, float] = (3.0, 6.0)
    errors: tuple[float, float] = (0.2, 0.5)
    surge: tuple[float, float] = (8.0, 12.0)
    drop: tuple[float, float] = (0.0, 0.02)
    tokens: tuple[float, float] = (4.0, 8.0)
    minutes: tuple[int, int] = (6, 20)
    traffic_minutes: tuple[int, int] = (15, 30)
    gap_minutes: tuple[int, int] = (50, 90)


class Score(msgspec.Struct):
    """Counts of one type."""

    injected: int = 0
    found: int = 0
    alarms: int = 0
    right: int = 0

    @property
    def precision(self) -> float:
        """Right alarms / alarms; 1 without any."""
        return self.right / self.alarms if self.alarms else 1.0

    @property
    def recall(self) -> float:
        """Found / injected; 1 where nothing was injected."""
        return self.found / self.injected if self.injected else 1.0

    def add(self, other: "Score") -> None:
        """Add another run's counts."""
        self.injected += other.injected
        self.found += other.found
        self.alarms += other.alarms
        self.right += other.right


Alarm: TypeAlias = tuple[int, Began]


def plan(rng: random.Random, minutes: int, sizes: Sizes, kinds: Sequence[Kind], *, stretch: int = 1) -> list[Injection]:
    """Draw what goes wrong: one after the other, each kind equally often, with time to recover between them."""
    result: list[Injection] = []
    at = 180 * stretch
    bag: list[Kind] = []
    while True:
        if not bag:
            bag = list(kinds)
            rng.shuffle(bag)
        kind = bag.pop()
        length = rng.randint(*(sizes.traffic_minutes if kind in ("surge", "drop") else sizes.minutes)) * stretch
        if at + length + 30 > minutes:
            return result
        low, high = getattr(sizes, kind)
        size = rng.uniform(low, high)
        if kind == "tokens" and rng.random() < 0.5:
            size = 1 / size
        result.append(Injection(kind=kind, target=rng.choice(_TARGETS), start=at, minutes=length, size=size))
        at += length + rng.randint(*sizes.gap_minutes) * stretch


def run(
    workload: Iterator[Minute],
    rng: random.Random,
    minutes: int,
    injections: Sequence[Injection],
    config: AnomaliesConfig,
    *,
    sigma: float = 0.45,
    detector: AnomalyDetector | None = None,
) -> list[Alarm]:
    """Feed the detector for so many minutes and return its alarms with the minute in which they came."""
    detector = detector or AnomalyDetector(ROUTES, config)
    alarms: list[Alarm] = []
    pending = sorted(injections, key=lambda each: each.start, reverse=True)
    current: Injection | None = None
    for number in range(minutes):
        if current is not None and number >= current.start + current.minutes:
            current = None
        if pending and pending[-1].start == number:
            current = pending.pop()
        requests = next(workload, None)
        if requests is None:
            break
        now = (_START_UNIX_MINUTE + number) * 60.0
        _feed(detector, rng, requests, now=now, injection=current, sigma=sigma)
        findings = detector.evaluate(now + 60)
        alarms += [(number, finding) for finding in findings if isinstance(finding, Began)]
    return alarms


def _feed(
    detector: AnomalyDetector,
    rng: random.Random,
    requests: Minute,
    *,
    now: float,
    injection: Injection | None,
    sigma: float,
) -> None:
    kind = None if injection is None else injection.kind
    random_share, choose, observe = rng.random, rng.choices, detector.observe
    at = 0
    for number in choose(range(4), _WEIGHTS, k=len(requests)) if requests else ():
        put, got = requests[at]
        at += 1
        provider, model = ROUTES[number]
        hit = injection is not None and injection.hits(provider, model)
        repeats = 1
        error_rate = _USUAL_ERROR_RATE
        factor = 1.0
        if hit and injection is not None:
            if kind == "errors":
                error_rate = injection.size
            elif kind == "latency":
                factor = injection.size
            elif kind == "tokens":
                put, got = max(1, int(put * injection.size)), max(1, int(got * injection.size))
            else:
                whole, rest = divmod(injection.size, 1)
                repeats = int(whole) + (random_share() < rest)
        for repeat in range(repeats):
            if repeat:
                put, got = requests[int(random_share() * len(requests))]
            if random_share() < error_rate:
                observe(provider, model, "failure", now_seconds=now)
                continue
            seconds = (0.25 + put * 0.00015 + got * 0.018) * _SPEEDS[number] * rng.lognormvariate(0, sigma) * factor
            if random_share() < 0.01:
                seconds *= rng.paretovariate(1.3)
            observe(
                provider,
                model,
                "success",
                now_seconds=now,
                duration_seconds=seconds,
                input_tokens=put,
                output_tokens=got,
            )


def score(alarms: Sequence[Alarm], injections: Sequence[Injection]) -> dict[AnomalyType, Score]:
    """Hold the alarms against what was injected."""
    connections = Connections(ROUTES)
    scores: dict[AnomalyType, Score] = {
        "latency_spike": Score(),
        "error_surge": Score(),
        "unusual_pattern": Score(),
    }
    found: set[int] = set()
    for injection in injections:
        scores[TYPE_OF_KIND[injection.kind]].injected += 1
    for minute, alarm in alarms:
        scores[alarm.type].alarms += 1
        for number, injection in enumerate(injections):
            in_time = injection.start <= minute <= injection.start + injection.minutes + _GRACE_MINUTES
            if (
                in_time
                and number not in found
                and TYPE_OF_KIND[injection.kind] == alarm.type
                and connections.connected(alarm.reading.scope, injection.target)
            ):
                found.add(number)
                scores[alarm.type].right += 1
                scores[alarm.type].found += 1
                break
    return scores
