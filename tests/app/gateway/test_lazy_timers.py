"""Timers on one timer of the event loop: each is called once, in order, and what is stopped takes no room."""

import asyncio

import pytest

from app.gateway.lazy_timers import LazyTimers


class Loop:
    """Stands for the event loop's clock and timers."""

    def __init__(self, monkeypatch):
        self.now = 100.0
        self.set_for = []
        self.acts = []
        monkeypatch.setattr(asyncio, "get_running_loop", lambda: self)

    def time(self):
        return self.now

    def call_at(self, when, act):
        self.set_for.append(when)
        handle = asyncio.TimerHandle(when, act, (), self)
        self.acts.append(handle)
        return handle

    def call_soon(self, act):
        act()

    def get_debug(self):
        return False

    def _timer_handle_cancelled(self, handle):
        self.acts.remove(handle)

    def advance(self, seconds):
        """Let time pass, and call what is due."""
        self.now += seconds
        while due := [each for each in self.acts if each.when() <= self.now]:
            self.acts.remove(due[0])
            due[0]._run()


@pytest.fixture
def loop(monkeypatch):
    return Loop(monkeypatch)


def test_what_is_due_is_called_once_and_in_order(loop):
    timers, called = LazyTimers(), []
    for seconds in (3, 1, 2, 1):
        timers.call_later(seconds, lambda seconds=seconds: called.append((seconds, loop.now)))
    for _ in range(5):
        loop.advance(1)
    assert called == [(1, 101), (1, 101), (2, 102), (3, 103)]
    assert (len(timers), loop.acts) == (0, [])


def test_a_timer_that_is_stopped_is_not_called(loop):
    timers, called = LazyTimers(), []
    stopped = timers.call_later(1, lambda: called.append("stopped"))
    timers.call_later(2, lambda: called.append("kept"))
    stopped.cancel()
    loop.advance(5)
    assert called == ["kept"]


def test_a_timer_may_stop_another_that_is_due(loop, monkeypatch):
    timers, called, soon = LazyTimers(), [], []
    monkeypatch.setattr(loop, "call_soon", soon.append)
    stopped = []
    timers.call_later(1, lambda: stopped.append(other.cancel()))
    other = timers.call_later(1, lambda: called.append("other"))
    loop.advance(1)
    for act in soon:
        act()
    assert (len(soon), called) == (2, [])


def test_usual_timers_set_none_of_the_event_loop(loop):
    timers = LazyTimers()
    for _ in range(1_000):
        timers.call_later(60, list).cancel()
        loop.advance(0.01)
    assert loop.set_for == [160.0]
    # What was stopped is forgotten.
    assert len(timers) <= 64


def test_an_earlier_timer_is_not_late(loop):
    timers, called = LazyTimers(), []
    timers.call_later(60, lambda: called.append("late"))
    timers.call_later(1, lambda: called.append("early"))
    loop.advance(1)
    assert called == ["early"]
    loop.advance(59)
    assert called == ["early", "late"]


def test_all_that_are_set_are_kept(loop):
    timers, called = LazyTimers(), []
    for number in range(1_000):
        timers.call_later(60, lambda number=number: called.append(number))
        timers.call_later(30, list).cancel()
    loop.advance(60)
    assert called == list(range(1_000))


def test_after_the_end_nothing_is_called(loop):
    timers, called = LazyTimers(), []
    timers.call_later(1, lambda: called.append(1))
    timers.close()
    loop.advance(2)
    assert (called, loop.acts) == ([], [])
    timers.call_later(1, lambda: called.append(2))
    loop.advance(1)
    assert called == [2]
