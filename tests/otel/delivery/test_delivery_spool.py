"""What shutdown cannot deliver waits on disk for the next start: nothing lost, nothing twice, and bad files lose only themselves."""

import logging
import os
import socket
import struct
import threading
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel.delivery.spool import Leftover, Spool
from tests.harness.delivery_harness import DeliveryHarness
from tests.harness.otlp_grpc_receiver import OtlpGrpcReceiver
from tests.harness.otlp_receiver import OtlpReceiver
from tests.harness.polling import DEADLINE_SECONDS

LEFT = [Leftover("traces", 3, b"spans"), Leftover("metrics", 1, b""), Leftover("logs", 2, b"lines" * 1_000)]
SIGNALS = st.sampled_from(("traces", "metrics", "logs"))


@given(st.lists(st.builds(Leftover, SIGNALS, st.integers(0, 2**32 - 1), st.binary(max_size=200)), max_size=8))
def test_what_is_written_is_read_again_in_its_order(tmp_path_factory, leftovers):
    folder = tmp_path_factory.mktemp("spool")
    assert Spool(folder, "a").write(leftovers)
    next_one = Spool(folder, "b")
    assert next_one.load() == leftovers
    next_one.release()
    assert list(folder.iterdir()) == []


def test_nothing_left_leaves_no_folder(tmp_path):
    assert Spool(tmp_path / "spool", "a").write([])
    assert not (tmp_path / "spool").exists()


@pytest.mark.parametrize("cut", [1, 5, 8, 22, 30])
def test_a_file_that_was_cut_short_gives_what_is_whole(tmp_path, cut, caplog):
    Spool(tmp_path, "a").write(LEFT)
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:-cut])
    spool = Spool(tmp_path, "b")
    with caplog.at_level(logging.ERROR):
        assert spool.load() == LEFT[:2]
    spool.release()
    assert "2 requests before the damage" in caplog.text


def test_a_forged_length_takes_no_memory(tmp_path, caplog):
    """A file without blocks on the disk has any size that it says."""
    Spool(tmp_path, "a").write(LEFT[:1])
    (path,) = tmp_path.iterdir()
    with path.open("ab") as file:
        file.write(struct.pack(">cIII", b"t", 1, 200 << 20, 0))
        file.truncate(300 << 20)
    spool = Spool(tmp_path, "b")
    tracemalloc.start()
    with caplog.at_level(logging.ERROR):
        assert spool.load() == LEFT[:1]
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    spool.release()
    assert peak_bytes < 10 << 20
    assert "1 requests before the damage" in caplog.text


def test_a_flipped_bit_and_a_foreign_file_are_logged_and_skipped(tmp_path, caplog):
    Spool(tmp_path, "a").write(LEFT)
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes().replace(b"spans", b"spanz"))
    (tmp_path / "notes.otlp").write_text("hello")
    (tmp_path / "notes.txt").write_text("hello")
    spool = Spool(tmp_path, "b")
    with caplog.at_level(logging.ERROR):
        assert spool.load() == []
    assert "is damaged" in caplog.text
    assert "is not a spool" in caplog.text
    spool.release()
    assert [each.name for each in tmp_path.iterdir()] == ["notes.txt"]


def test_a_file_belongs_to_one_process_at_a_time_and_outlives_it(tmp_path):
    Spool(tmp_path, "a").write(LEFT)
    first, second = Spool(tmp_path, "b"), Spool(tmp_path, "c")
    assert first.load() == LEFT
    assert second.load() == []
    first.unlock()  # as when the process is killed
    third = Spool(tmp_path, "d")
    assert third.load() == LEFT
    third.release()


def test_a_folder_that_cannot_be_written_is_logged_and_loses_no_locked_file(tmp_path, caplog):
    Spool(tmp_path / "spool", "a").write(LEFT)
    spool = Spool(tmp_path / "spool", "b")
    assert spool.load() == LEFT
    (tmp_path / "spool" / "b.part").mkdir()
    with caplog.at_level(logging.ERROR):
        assert not spool.write(LEFT)
    assert "cannot be stored" in caplog.text
    assert (tmp_path / "spool" / "a-0.otlp").exists()


@pytest.fixture(params=["http/protobuf", "grpc"])
def receiver(request):
    with OtlpReceiver() if request.param == "http/protobuf" else OtlpGrpcReceiver() as double:
        double.protocol = request.param
        yield double


def harness_for(receiver, folder, **environ):
    environ = {"OTEL_METRIC_EXPORT_INTERVAL": "60000", "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip", **environ}
    harness = DeliveryHarness(
        receiver.endpoint, spool=str(folder), OTEL_EXPORTER_OTLP_PROTOCOL=receiver.protocol, **environ
    )
    harness.delivery.start()
    return harness


@pytest.mark.live
def test_what_one_process_cannot_deliver_the_next_one_does(receiver, tmp_path):
    receiver.black_hole()
    first = harness_for(receiver, tmp_path)
    first.record(300)
    report = first.close(0.5)
    assert report.is_complete
    assert report.stored_items == {"traces": 300, "metrics": 1, "logs": 300}
    assert {name: page.stored for name, page in first.delivery.stats.snapshot().items()} == report.stored_items

    # Still a black hole: what was taken over is kept again, together with what is new.
    second = harness_for(receiver, tmp_path)
    second.record(10)
    report = second.close(0.5)
    assert report.stored_items == {"traces": 310, "metrics": 2, "logs": 310}
    assert len(list(tmp_path.iterdir())) == 1

    receiver.accept()
    third = harness_for(receiver, tmp_path)
    third.record(5)
    assert third.delivery.force_flush(DEADLINE_SECONDS)
    assert receiver.wait_until(lambda: not list(tmp_path.iterdir()))
    assert third.close(DEADLINE_SECONDS).is_complete
    assert sorted(span["attributes"]["n"] for span in receiver.spans) == sorted([*range(300), *range(10), *range(5)])
    assert len(receiver.log_records) == 315
    assert list(tmp_path.iterdir()) == []
    assert [thread for thread in threading.enumerate() if thread.name == "otlp-spool"] == []


@pytest.mark.live
def test_a_process_that_is_killed_leaves_the_files_to_the_next(receiver, tmp_path):
    Spool(tmp_path, "a").write([Leftover("logs", 1, b"")])
    receiver.black_hole()
    harness = harness_for(receiver, tmp_path)
    harness.record(1)
    assert (tmp_path / "a-0.otlp").exists()
    receiver.accept()
    assert receiver.wait_until(lambda: not (tmp_path / "a-0.otlp").exists())
    harness.close()


def test_files_and_folders_are_their_owners_alone(tmp_path):
    folder = tmp_path / "a" / "spool"
    Spool(folder, "a").write(LEFT)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert [each.stat().st_mode & 0o777 for each in folder.iterdir()] == [0o600]


def test_only_regular_files_are_read(tmp_path, caplog):
    outside = tmp_path / "outside.otlp"
    folder = tmp_path / "spool"
    Spool(folder, "a").write(LEFT)
    (folder / "a-0.otlp").rename(outside)
    os.mkfifo(folder / "b.otlp")
    (folder / "c.otlp").mkdir()
    (folder / "d.otlp").symlink_to(outside)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "e.otlp"))
        spool = Spool(folder, "b")
        assert spool.load() == []
    assert caplog.text.count("is not a regular file") == 4
    spool.release()
    assert outside.exists()


def test_a_folder_that_cannot_be_written_has_a_reason(tmp_path):
    assert Spool(tmp_path / "spool", "a").problem() is None
    assert list((tmp_path / "spool").iterdir()) == []
    (tmp_path / "file").touch()
    assert Spool(tmp_path / "file" / "spool", "a").problem() == "Not a directory"


@pytest.mark.live
def test_counts_are_those_of_the_payload_whatever_the_file_claims(tmp_path):
    with OtlpReceiver() as double:
        double.protocol = "http/protobuf"
        double.black_hole()
        harness = harness_for(double, tmp_path)
        harness.record(7)
        harness.close(0.5)
        (path,) = tmp_path.iterdir()
        spool = Spool(tmp_path, "x")
        forged = [Leftover(each.signal, 2**32 - 1, each.payload) for each in spool.load()]
        spool.release()
        Spool(tmp_path, "y").write(forged)
        assert path.exists() is False
        double.accept()
        harness = harness_for(double, tmp_path)
        assert double.wait_until(lambda: not list(tmp_path.iterdir()))
        harness.close()
        exported = {name: page.exported for name, page in harness.delivery.stats.snapshot().items()}
        dropped = sum(sum(page.dropped.values()) for page in harness.delivery.stats.snapshot().values())
    assert (exported["traces"], exported["logs"], dropped) == (7, 7, 0)


def test_a_file_that_others_could_read_is_closed_to_them(tmp_path):
    Spool(tmp_path, "a").write(LEFT)
    (path,) = tmp_path.iterdir()
    path.chmod(0o666)
    held = Spool(tmp_path, "b")
    assert held.load() == LEFT
    assert path.stat().st_mode & 0o777 == 0o600
    held.unlock()


@pytest.mark.live
def test_what_an_endpoint_leaves_without_a_response_until_the_end_is_stored_whole(tmp_path, caplog):
    """The senders' own lines about it would come after the logs have closed, and be the only loss."""
    with OtlpReceiver() as receiver:
        receiver.black_hole()
        harness = DeliveryHarness(receiver.endpoint, spool=str(tmp_path), OTEL_EXPORTER_OTLP_TIMEOUT="60000")
        with harness:
            harness.record()
            report = harness.close(0.3)
    assert report.is_complete
    assert report.stored_items == {"traces": 1, "metrics": 1, "logs": 1}
    assert "do not reach" not in caplog.text


@pytest.mark.live
def test_what_an_endpoint_refuses_at_the_end_is_reported_as_lost():
    with OtlpReceiver() as receiver:
        receiver.respond_status(401)
        harness = DeliveryHarness(
            receiver.endpoint,
            OTEL_BSP_SCHEDULE_DELAY="60000",
            OTEL_TRACES_EXPORTER="otlp",
            OTEL_LOGS_EXPORTER="none",
            OTEL_METRICS_EXPORTER="none",
        )
        with harness:
            harness.record(3)
            report = harness.close()
    assert not report.is_complete
    assert (report.lost_items, report.refused_items) == ({"traces": 0}, {"traces": 3})
