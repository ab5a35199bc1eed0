"""The pace of retries: exponential to a cap, jittered, reset by success, as long as the endpoint requests, short at shutdown."""

from hypothesis import given
from hypothesis import strategies as st

from otel.delivery.transport.backoff import CAP_SECONDS, FIRST_SECONDS, RETRY_AFTER_CAP_SECONDS, Backoff
from tests.harness.clock import ManualClock


def waits(backoff, clock, count, retry_after_seconds=None):
    seen = []
    for _ in range(count):
        backoff.failed(retry_after_seconds)
        seen.append(backoff.wait_seconds())
        clock.advance(seen[-1])
    return seen


def test_it_doubles_to_the_cap_and_stays_there():
    clock = ManualClock()
    backoff = Backoff(lambda: 1.0, clock)
    assert [round(wait, 6) for wait in waits(backoff, clock, 7)] == [0.25, 0.5, 1.0, 2.0, 4.0, 5.0, 5.0]


@given(st.floats(0, 1, exclude_max=True), st.integers(1, 50))
def test_jitter_keeps_every_wait_between_half_and_all_of_it(random_number, failures):
    clock = ManualClock()
    *_, last = waits(Backoff(lambda: random_number, clock), clock, failures)
    upper = min(FIRST_SECONDS * 2 ** (failures - 1), CAP_SECONDS)
    assert upper / 2 - 1e-6 <= last <= upper + 1e-6


def test_success_starts_again():
    clock = ManualClock()
    backoff = Backoff(lambda: 1.0, clock)
    waits(backoff, clock, 10)
    backoff.succeeded()
    assert round(*waits(backoff, clock, 1), 6) == FIRST_SECONDS


def test_what_the_endpoint_requests_wins_within_its_cap():
    clock = ManualClock()
    backoff = Backoff(lambda: 1.0, clock)
    assert round(*waits(backoff, clock, 1, retry_after_seconds=17.0), 6) == 17.0
    assert round(*waits(backoff, clock, 1, retry_after_seconds=86_400.0), 6) == RETRY_AFTER_CAP_SECONDS
    assert round(*waits(backoff, clock, 1, retry_after_seconds=-3.0), 6) == 0.0


def test_shutdown_tries_at_once_and_keeps_trying_until_the_deadline():
    clock = ManualClock()
    backoff = Backoff(lambda: 1.0, clock)
    waits(backoff, clock, 10)
    backoff.failed(None)
    backoff.enter_shutdown(clock() + 4.0)
    assert backoff.wait_seconds() <= 0
    assert backoff.limit_seconds(10.0) == 4.0
    tries = 0
    while not backoff.is_over:
        tries += 1
        backoff.failed(None)
        clock.advance(max(0.0, backoff.wait_seconds()))
    assert tries >= 5
    assert backoff.limit_seconds(10.0) <= 0


def test_shutdown_does_not_wait_for_an_endpoint_that_requested_a_longer_wait_than_is_left():
    clock = ManualClock()
    backoff = Backoff(lambda: 1.0, clock)
    backoff.failed(30.0)
    backoff.enter_shutdown(clock() + 4.0)
    assert backoff.is_over
