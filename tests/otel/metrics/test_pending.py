"""A collection takes what is pending under the lock, and passes it on without it."""

import threading

from otel.metrics.pending import Pending


class AskingDelta:
    """Asks, while it is passed on, whether an event of another thread could be measured."""

    def __init__(self, pending: Pending) -> None:
        self.pending = pending
        self.is_free = False

    def pass_on(self) -> None:
        asking = threading.Thread(target=self.ask)
        asking.start()
        asking.join()

    def ask(self) -> None:
        self.is_free = self.pending.lock.acquire(blocking=False)
        if self.is_free:
            self.pending.lock.release()


def test_events_are_measured_while_a_collection_passes_on_what_it_took() -> None:
    pending = Pending()
    delta = AskingDelta(pending)
    with pending.lock:
        pending.deltas.append(delta)
    pending.flush()
    assert delta.is_free
    assert pending.deltas == []


def test_a_second_collection_waits_until_the_first_has_passed_everything_on() -> None:
    pending, order = Pending(), []
    first_passes, first_may_end = threading.Event(), threading.Event()

    class Slow:
        def pass_on(self) -> None:
            first_passes.set()
            first_may_end.wait(20)
            order.append("first passed on")

    def flush_again() -> None:
        pending.flush()
        order.append("second done")

    pending.deltas.append(Slow())
    first = threading.Thread(target=pending.flush)
    first.start()
    assert first_passes.wait(20)
    second = threading.Thread(target=flush_again)
    second.start()
    first_may_end.set()
    first.join()
    second.join()
    assert order == ["first passed on", "second done"]
