"""Availability equals the share of known time, sampled by a model that replays every event."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.providers.availability import WINDOW_SECONDS, Availability

EVIDENCE_SECONDS = 90.0


def fed(*events):
    """Return an availability that has seen pairs of time and up/down/block/unblock."""
    past = Availability(EVIDENCE_SECONDS)
    for at, what in events:
        if what in {"up", "down"}:
            past.found(at, available=what == "up")
        else:
            getattr(past, what)(at)
    return past


@pytest.mark.parametrize(
    ("events", "now", "expected"),
    [
        ([], 10.0, None),
        ([(0.0, "up")], 0.0, 1.0),
        ([(0.0, "down")], 0.0, 0.0),
        ([(0.0, "up"), (30.0, "down")], 60.0, 0.5),
        ([(0.0, "up"), (30.0, "down"), (60.0, "up")], 120.0, 0.75),
        ([(0.0, "up")], 90.0, 1.0),  # 90 s of evidence, then nothing is known …
        ([(0.0, "up")], 389.0, 1.0),  # … and the last second of it leaves the window
        ([(0.0, "up")], 390.0, None),
        ([(0.0, "up"), (200.0, "down")], 220.0, 90 / 110),  # the silence between counts for neither
        ([(0.0, "up"), (30.0, "block"), (60.0, "unblock")], 75.0, 45 / 75),
        ([(0.0, "up"), (30.0, "block"), (40.0, "up"), (60.0, "unblock")], 90.0, 60 / 90),
        ([(0.0, "block")], 1_000.0, 0.0),  # an open breaker does not grow stale
        ([(0.0, "block"), (100.0, "unblock")], 150.0, 0.0),
        ([(0.0, "block"), (100.0, "unblock")], 400.0, None),
    ],
)
def test_by_hand(events, now, expected):
    assert fed(*events).share(now) == (None if expected is None else pytest.approx(expected))


EVENTS = st.lists(
    st.tuples(st.integers(0, 200), st.sampled_from(["up", "down", "block", "unblock"])), min_size=1, max_size=25
)


def naive_share(events, now):
    """Ask for every second's middle of the window what was last known then."""
    known = []
    for second in range(now - int(WINDOW_SECONDS), now):
        found, found_at, blocked = None, -math.inf, False
        for at, what in events:
            if at > second:
                break
            if what in {"up", "down"}:
                found, found_at = what == "up", at
            else:
                blocked = what == "block"
        if blocked:
            known.append(False)
        elif found is not None and second < found_at + EVIDENCE_SECONDS:
            known.append(found)
    return sum(known) / len(known) if known else None


@settings(max_examples=150, deadline=None)
@given(EVENTS, st.integers(1, 500))
def test_it_equals_the_naive_share_second_by_second(pauses, later):
    at, events = 0, []
    for pause, what in pauses:
        at += pause
        events.append((at, what))
    past = fed(*events)
    expected = naive_share(events, at + later)
    assert past.share(at + later) == (None if expected is None else pytest.approx(expected))
    assert past.share(at + later) == past.share(at + later)


def test_the_past_is_forgotten():
    past = Availability(EVIDENCE_SECONDS)
    for number in range(10_000):
        past.found(number * 30.0, available=number % 2 == 0)
    assert len(past._past.spans) <= WINDOW_SECONDS / 30.0 + 2
    assert past.share(10_000 * 30.0) == pytest.approx(0.5)
