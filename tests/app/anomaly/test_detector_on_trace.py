"""The detector on real traffic: precision and recall of anomalies injected into the trace, silence where nothing is wrong.

Each run draws its own seed and prints it; ANOMALY_SEED repeats one. `python -m bench.anomalies`
measures weeks and other traffic.
"""

import os
import random
from typing import get_args

import pytest

from app.config.schema import AnomaliesConfig
from bench.anomaly_run import Kind, Sizes, plan, run, score
from bench.anomaly_workloads import trace_looped, trace_once

DAY_MINUTES = 1_440


@pytest.fixture(scope="module")
def seed() -> int:
    drawn = int(os.environ.get("ANOMALY_SEED") or random.SystemRandom().randrange(2**32))
    print(f"ANOMALY_SEED={drawn}")  # noqa: T201  pytest shows it where the test fails
    return drawn


def test_precision_and_recall_of_each_type(seed: int) -> None:
    rng = random.Random(seed)
    minutes = 2 * DAY_MINUTES
    injections = plan(rng, minutes, Sizes(gap_minutes=(30, 45)), get_args(Kind))
    alarms = run(trace_looped()(rng), rng, minutes, injections, AnomaliesConfig())
    for kind, figures in score(alarms, injections).items():
        said = f"{kind}: {figures}, ANOMALY_SEED={seed}"
        assert figures.injected >= 8, said
        assert figures.precision >= 0.9, said
        assert figures.recall >= 0.8, said


def test_the_untouched_trace_raises_no_alarm(seed: int) -> None:
    for draw in range(3):
        rng = random.Random(seed + draw)
        minutes = trace_once()
        assert run(iter(minutes), rng, len(minutes), [], AnomaliesConfig()) == [], f"ANOMALY_SEED={seed}, draw {draw}"


def test_a_day_of_the_trace_with_its_rise_and_fall_raises_at_most_one_alarm(seed: int) -> None:
    rng = random.Random(seed)
    alarms = run(trace_looped()(rng), rng, DAY_MINUTES, [], AnomaliesConfig())
    assert len(alarms) <= 1, f"ANOMALY_SEED={seed}: {alarms}"
