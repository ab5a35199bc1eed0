"""Events of many sockets: a few in each pass of the event loop, all of them by turns, and probes of liveness beside them."""

import asyncio
import selectors
import socket
from collections import Counter

import pytest

from app.gateway.capacity.loop_sharing import LoopSharing
from app.server.socket_events import SocketEvents
from tests.harness.passes import Passes
from tests.harness.polling import until

READ = selectors.EVENT_READ


class Ready:
    """What is told that its socket can be read, and leaves it so; each time takes `seconds` of a clock."""

    def __init__(self, many, number):
        self._many = many
        self.number = number

        self.has_ended = False

    def socket_is_ready(self, events):
        assert events == self._many.events_of_each
        if self._many.ends:
            self.has_ended = True
            self._many.forget(self)
        self._many.told(self.number)


class Many:
    """Sockets that can be read all the time."""

    ends = False

    def __init__(self, count, seconds, events_of_each=READ):
        self.events_of_each = events_of_each
        self.now = 0.0
        self._seconds = seconds
        self.seen = []
        self.passes = Passes()
        self.sharing = LoopSharing(lambda: 0.0)
        self.events = SocketEvents(asyncio.get_running_loop(), self.sharing, lambda: self.now)
        self._pairs = [socket.socketpair() for _ in range(count)]
        for number, (near, far) in enumerate(self._pairs):
            far.send(b"x")
            self.events.change(near, Ready(self, number), 0, events_of_each)

    def forget(self, ready):
        self.events.change(self._pairs[ready.number][0], ready, self.events_of_each, 0)

    def told(self, number):
        self.now += self._seconds
        self.seen.append(number)
        self.passes.note()

    def close(self):
        self.events.close()
        for pair in self._pairs:
            for each in pair:
                each.close()


@pytest.fixture
async def many():
    made = []

    def make(*arguments):
        made.append(Many(*arguments))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.mark.parametrize("events", [READ, selectors.EVENT_WRITE])
async def test_a_few_are_reported_in_each_pass_and_all_by_turns(many, events):
    ready = many(100, 0.0003, events)
    await until(lambda: len(ready.seen) >= 300)
    assert ready.passes.stop()[1] <= 16
    assert sorted(ready.seen[:100]) == list(range(100))
    for end in (200, 300):
        times = Counter(ready.seen[:end])
        assert max(times.values()) - min(times[number] for number in range(100)) <= 2


async def test_quick_ones_are_reported_together(many):
    ready = many(100, 0.0)
    await until(lambda: len(ready.seen) >= 100)
    assert ready.passes.stop()[1] >= 100


async def test_fewer_are_reported_in_each_pass_while_several_clients_use_the_loop(many):
    ready = many(100, 0.00015)
    ready.sharing.came_beside(100, 1)
    await until(lambda: len(ready.seen) >= 100)
    assert ready.passes.stop()[1] == 2


@pytest.mark.parametrize(("is_shared", "ends", "most"), [(False, True, 100), (True, True, 2), (True, False, 100)])
async def test_few_that_end_are_reported_in_each_pass_while_several_clients_use_the_loop(many, is_shared, ends, most):
    """What follows of an end comes in the next passes, and is not in the time of its report."""
    ready = many(100, 0.0)
    ready.ends = ends
    if is_shared:
        ready.sharing.came_beside(100, 1)
    await until(lambda: len(ready.seen) >= 100)
    assert ready.passes.stop()[1] == most


@pytest.mark.parametrize(
    ("events", "is_apart"), [(READ, True), (selectors.EVENT_WRITE, False)], ids=["probe", "request"]
)
async def test_it_does_not_wait_for_thousands_of_others(many, events, is_apart):
    """A probe, which has a selector of its own, beside those that can be read, and any request beside those that can be written."""
    ready, told = many(400, 0.001, events), []
    chosen = SocketEvents(asyncio.get_running_loop(), ready.sharing, lambda: ready.now) if is_apart else ready.events

    class Prompt:
        has_ended = False

        def socket_is_ready(self, _events):
            near.recv(1)
            told.append(len(ready.seen))

    near, far = socket.socketpair()
    with near, far:
        chosen.change(near, Prompt(), 0, READ)
        await until(lambda: ready.seen)
        far.send(b"x")
        sent_after = len(ready.seen)
        await until(lambda: told)
        ready.passes.stop()
        if is_apart:
            chosen.close()
        else:
            chosen.change(near, Prompt(), READ, 0)
    # A selector that names thousands is asked again after a sixteenth of them.
    most = 0 if is_apart else 400 // 16
    assert told[0] - sent_after <= most + 2 * 8
