"""Log lines reach the stream in order, and a stream that stalls or breaks blocks no caller."""

import threading

from otel.logs.stream_writer import LineWriter


class HeldStream:
    """A text stream whose reader can be stalled."""

    def __init__(self) -> None:
        self.text = ""
        self.open = threading.Event()
        self.entered = threading.Event()

    def write(self, text: str) -> None:
        self.entered.set()
        assert self.open.wait(10)
        self.text += text

    def flush(self) -> None:
        pass


def test_lines_arrive_in_order() -> None:
    stream = HeldStream()
    stream.open.set()
    writer = LineWriter(stream)
    for number in range(1_000):
        writer.write(str(number))
    assert writer.close(10) == 0
    assert stream.text.splitlines() == [str(number) for number in range(1_000)]
    assert writer.dropped == 0


def test_a_stalled_stream_blocks_no_writer_and_drops_are_counted() -> None:
    stream = HeldStream()
    writer = LineWriter(stream, max_lines=10)
    writer.write("first")
    assert stream.entered.wait(10)
    for number in range(100):
        writer.write(str(number))
    assert writer.dropped == 91  # the first line still counts as queued, nine more fit
    assert writer.close(0.01) == 10
    assert writer.dropped == 101
    stream.open.set()


def test_a_broken_stream_is_counted_and_survived() -> None:
    class BrokenStream:
        def write(self, text: str) -> None:
            raise BrokenPipeError(text)

        def flush(self) -> None:
            pass

    writer = LineWriter(BrokenStream())
    writer.write("lost")
    assert writer.close(10) == 0
    assert writer.dropped == 1


def test_closing_an_unused_writer_starts_nothing() -> None:
    before = threading.active_count()
    writer = LineWriter(HeldStream())
    assert writer.close(1) == 0
    assert threading.active_count() == before


def test_many_threads_lose_and_duplicate_nothing() -> None:
    stream = HeldStream()
    stream.open.set()
    writer = LineWriter(stream, max_lines=100_000, gather_seconds=0.0)
    threads = [
        threading.Thread(target=lambda thread=thread: [writer.write(f"{thread} {number}") for number in range(2_000)])
        for thread in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert writer.close(20) == 0
    assert sorted(stream.text.splitlines()) == sorted(
        f"{thread} {number}" for thread in range(8) for number in range(2_000)
    )
    assert writer.dropped == 0
