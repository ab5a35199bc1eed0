"""Lanes: few of one kind do not stand behind thousands of another, and none waits indefinitely."""

import pytest

from app.server.lanes import MOST_START_BYTES, Lanes, Place, is_watching, watching_lane


def filled(**counts):
    lanes = Lanes()
    for lane, count in counts.items():
        for number in range(count):
            lanes.put((lane, number), Place(lane, "10.0.0.1"))
    return lanes


def test_a_health_check_behind_thousands_is_next():
    lanes = filled(new=3_000, kept=3_000)
    lanes.put("probe", Place("live", "10.0.0.1"))
    assert "probe" in [lanes.take() for _ in range(3)]


def test_a_connection_that_was_served_before_is_next_but_one_to_thousands_of_new_ones():
    lanes = filled(new=3_000)
    lanes.put("kept", Place("kept", "10.0.0.1"))
    assert "kept" in [lanes.take() for _ in range(2)]


def test_a_flood_of_one_lane_leaves_the_others_their_turns():
    lanes = filled(monitoring=300, kept=300, new=3)
    first = [lanes.take() for _ in range(9)]
    assert [each for each in first if each[0] == "new"] == [("new", 0), ("new", 1), ("new", 2)]
    assert [each for each in first if each[0] == "kept"] == [("kept", 0), ("kept", 1), ("kept", 2)]


@pytest.mark.parametrize("lane", ["live", "ready", "monitoring"])
def test_of_what_watches_the_newest_and_the_oldest_take_turns(lane):
    lanes = filled(**{lane: 6})
    assert [lanes.take()[1] for _ in range(6)] == [5, 0, 4, 1, 3, 2]


@pytest.mark.parametrize("lane", ["kept", "new"])
def test_all_else_keeps_its_order(lane):
    lanes = filled(**{lane: 100})
    assert [lanes.take()[1] for _ in range(100)] == list(range(100))


@pytest.mark.parametrize("lane", ["live", "monitoring", "kept", "new"])
def test_the_clients_of_a_lane_take_turns(lane):
    lanes = filled(**{lane: 3_000})
    for number in range(3):
        lanes.put(f"b{number}", Place(lane, "10.0.0.2"))
        lanes.put(f"c{number}", Place(lane, "10.0.0.3"))
    first = [lanes.take() for _ in range(9)]
    assert [each for each in first if each[0] in "bc"] == (
        ["b2", "c2", "b0", "c0", "b1", "c1"] if lane in {"live", "monitoring"} else ["b0", "c0", "b1", "c1", "b2", "c2"]
    )


def test_each_entry_is_taken_once():
    lanes = filled(live=5, kept=7, new=9)
    assert len(lanes) == 21
    assert len({lanes.take() for _ in range(21)}) == 21
    assert not lanes
    with pytest.raises(IndexError):
        lanes.take()


@pytest.mark.parametrize(
    ("path", "lane"),
    [
        ("/health/live", "live"),
        ("/health/ready", "ready"),
        ("/metrics", "monitoring"),
        ("/prometheus/metrics/summary", "monitoring"),
        ("/v1/models", None),
    ],
)
def test_what_watches_is_known_by_its_first_bytes_as_by_its_path(path, lane):
    start = f"GET {path} HTTP/1.1\r\n".encode()[:MOST_START_BYTES]
    assert watching_lane(start.startswith) == lane
    assert is_watching(path) == (lane is not None)


@pytest.mark.parametrize("flood", ["monitoring", "ready"])
def test_a_probe_of_liveness_does_not_wait_for_thousands_of_pages_that_come_after_it(flood):
    lanes = filled(**{flood: 3_000})
    lanes.put("probe", Place("live", "10.0.0.1"))
    for number in range(3_000):
        lanes.put(number, Place(flood, "10.0.0.1"))
    assert "probe" in [lanes.take() for _ in range(2)]
