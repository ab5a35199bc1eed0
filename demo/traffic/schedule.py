"""Decides which request is sent when, from a trace and a seed.

The same seed gives the same schedule on every computer. The schedule never ends.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeAlias

import msgspec

from demo.traffic import call_kinds, interrupted_kinds, refusal_kinds
from demo.traffic.arrivals import Arrival, replay
from demo.traffic.outcomes import Pace
from demo.traffic.plan import Planned
from demo.traffic.request_template import RequestTemplate

Kind: TypeAlias = Callable[[RequestTemplate], Planned]

DEMO_MIX: Final[tuple[tuple[Kind, float], ...]] = (
    (call_kinds.plain, 34.0),
    (call_kinds.streamed, 26.0),
    (call_kinds.failed_over, 9.0),
    (call_kinds.embedded, 5.0),
    (call_kinds.cacheable, 3.0),
    (call_kinds.limited, 4.0),
    (interrupted_kinds.left_during, 2.0),
    (interrupted_kinds.left_before, 1.0),
    (interrupted_kinds.broken, 1.0),
    (interrupted_kinds.fell_silent, 0.4),
    (call_kinds.all_failed, 1.0),
    (call_kinds.all_timed_out, 0.4),
    (call_kinds.all_limited, 1.0),
    (call_kinds.callers_fault, 1.0),
    (call_kinds.unreported, 1.0),
    (call_kinds.renamed_usage, 0.5),
    (refusal_kinds.bad_key, 1.5),
    (refusal_kinds.unknown_model, 1.0),
    (refusal_kinds.bad_body, 1.0),
    (refusal_kinds.bad_embedding, 0.2),
    (refusal_kinds.too_large, 0.3),
    (refusal_kinds.lost, 1.0),
    (refusal_kinds.models, 1.0),
)
"""Kinds and their weights: mostly successes."""

EVEN_MIX: Final[tuple[tuple[Kind, float], ...]] = tuple((kind, 1.0) for kind, _ in DEMO_MIX)
"""Every kind as often as any other, so that each outcome comes by the dozen."""

_REPEAT_SHARE: Final = 0.5
_REMEMBERED: Final = 50


class ScheduleOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How to plan. `real_every_seconds` is None without the real model; `run` goes into prompts and tags."""

    seed: int
    run: str
    speed: float
    mix: Sequence[tuple[Kind, float]] = DEMO_MIX
    pace: Pace = Pace()
    real_every_seconds: float | None = None


def schedule(trace: Sequence[Arrival], options: ScheduleOptions) -> Iterator[Planned]:
    """Return the requests in order; numbers count from 1."""
    rng = random.Random(options.seed)
    kinds = [kind for kind, _ in options.mix]
    weights = [weight for _, weight in options.mix]
    cacheable: list[Planned] = []
    number = 0
    last_real: int | None = None
    next_real_seconds = 0.0
    for arrival in replay(trace, options.speed):
        while options.real_every_seconds is not None and next_real_seconds <= arrival.at_seconds:
            number += 1
            moment = msgspec.structs.replace(arrival, at_seconds=next_real_seconds)
            yield call_kinds.real(_template(number, moment, rng, options), last_real)
            last_real = number
            next_real_seconds += options.real_every_seconds
        number += 1
        template = _template(number, arrival, rng, options)
        kind = rng.choices(kinds, weights)[0]
        if kind is call_kinds.cacheable and cacheable and rng.random() < _REPEAT_SHARE:
            yield call_kinds.repeated(template, rng.choice(cacheable))
            continue
        planned = kind(template)
        if planned.cache == "miss":
            cacheable = [*cacheable[1 - _REMEMBERED :], planned]
        yield planned


def _template(number: int, arrival: Arrival, rng: random.Random, options: ScheduleOptions) -> RequestTemplate:
    return RequestTemplate(number=number, arrival=arrival, rng=rng, pace=options.pace, run=options.run)
