"""What an attack run makes of its figures, and that every attack has what it needs."""

import tomllib
from pathlib import Path

import pytest

from bench.attacks.answers import ANSWERS, PIECE_BYTES, filled, gzip_bomb
from bench.attacks.catalogue import ATTACKS, find_attack
from bench.attacks.environment import config_text
from bench.attacks.memory_watch import MemoryWatch
from bench.attacks.pinger import Lateness
from bench.attacks.plain_proxy import config_text as plain_config_text
from bench.attacks.report import MB, Row, longest_bucket, read_buckets
from bench.attacks.target import head, post
from bench.attacks.upstream import answer_of
from tests.harness.clock import ManualClock


def row(**figures: object) -> Row:
    usual: dict[str, object] = {
        "name": "trailers",
        "who": "no key",
        "over_idle_bytes": 10 * MB,
        "left_bytes": 0,
        "health_longest": 9.0,
        "own_health_longest": 6.0,
        "health_p99": 4.0,
        "health_failed": 0,
        "pinger_late": 1.0,
        "loop_milliseconds": 5.0,
        "core_wait_share": 0.1,
        "other_p99": 5.0,
        "alone_p99": 2.5,
        "own_other_p99": 4.0,
        "own_alone_p99": 2.0,
        "other_failed": 0,
        "other_served": 800,
        "ended": False,
        "did": "",
    }
    return Row(**(usual | figures))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("figures", "failures"),
    [
        ({}, []),
        ({"over_idle_bytes": 301 * MB}, ["memory"]),
        ({"over_idle_bytes": 301 * MB, "who": "one key"}, []),
        ({"over_idle_bytes": 513 * MB, "who": "one key"}, ["memory"]),
        ({"health_longest": 100.5}, ["health"]),
        ({"health_failed": 2}, ["2 health checks unanswered"]),
        ({"other_p99": 7.6}, ["other key"]),
        ({"other_served": 0, "other_p99": 0.0}, ["other key"]),
        ({"other_served": 1, "other_p99": 0.0}, ["other key"]),
        ({"other_failed": 3}, ["3 calls of the other key failed"]),
        ({"ended": True}, ["ended"]),
    ],
)
def test_each_bound_is_held_against_its_figure(figures: dict[str, object], failures: list[str]) -> None:
    shown = row(**figures)
    assert shown.failures == failures
    assert shown.line().endswith(f"FAIL {failures[0]}" if failures else "PASS")


def test_the_lag_of_the_event_loop_is_what_its_histogram_has_gained() -> None:
    before = read_buckets('lag_bucket{le="0.01"} 7.0\nlag_bucket{le="0.1"} 8.0\nlag_bucket{le="+Inf"} 8.0\n', "lag")
    after = read_buckets('lag_bucket{le="0.01"} 9.0\nlag_bucket{le="0.1"} 11.0\nlag_bucket{le="+Inf"} 11.0\n', "lag")
    assert longest_bucket(before, after) == 0.1
    assert longest_bucket({}, {0.01: 8.0, 0.1: 8.0}) == 0.01
    assert longest_bucket(after, after) is None


def test_only_lateness_within_a_ping_is_taken_off_it() -> None:
    clock = ManualClock()
    lateness = Lateness(clock)
    for due_at, came_at in ((1.0, 1.5), (2.0, 2.25), (3.0, 3.0)):
        clock.seconds = came_at
        lateness.tick(due_at)
    assert lateness.since(1.25) == 0.5
    assert lateness.since(1.75) == 0.25
    assert lateness.since(2.5) == 0.0
    assert lateness.longest_seconds == 0.5


def process(proc: Path, pid: int, parent: int, command: str, *, resident: int, peak: int) -> None:
    folder = proc / str(pid)
    folder.mkdir()
    (folder / "stat").write_text(f"{pid} (py) th) S {parent} 1 1")
    (folder / "cmdline").write_text(command)
    (folder / "status").write_text(f"Name:\tpy\nVmHWM:\t  {peak} kB\nVmRSS:\t  {resident} kB\n")


def test_the_memory_of_children_counts_when_they_run_their_own_program(tmp_path: Path) -> None:
    process(tmp_path, 10, 1, "gateway", resident=100, peak=150)
    process(tmp_path, 11, 10, "worker", resident=20, peak=30)
    process(tmp_path, 12, 11, "grandchild", resident=5, peak=5)
    process(tmp_path, 13, 10, "gateway", resident=100, peak=100)
    process(tmp_path, 14, 1, "other", resident=1_000, peak=1_000)
    watch = MemoryWatch(10, tmp_path)
    assert watch.begin() == 125 * 1024
    watch.sample()
    assert watch.peak_bytes == 150 * 1024
    assert MemoryWatch(99, tmp_path).read().resident == 0


def test_attacks_have_names_of_their_own_and_are_found_by_them() -> None:
    assert len({each.name for each in ATTACKS}) == len(ATTACKS)
    assert all(find_attack(each.name) is each for each in ATTACKS)
    assert {each.who for each in ATTACKS} == {"no key", "one key"}


def test_every_answer_is_a_model_of_the_gateway(tmp_path: Path) -> None:
    config = tomllib.loads(config_text(tmp_path, hostile_url="http://hostile", steady_url="http://steady"))
    assert {each["name"] for each in config["models"]} == {*ANSWERS, "steady"}
    assert all(each["base_url"].startswith("http://hostile/") for each in config["providers"][1:])


@pytest.mark.parametrize(
    ("name", "body", "answer"),
    [
        ("silent", b'{"model":"plain"}', "silent"),
        ("v1", b'{"model":"silent","messages":[]}', "silent"),
        ("v1", b'{"messages":[], "model": "error-large"}', "error-large"),
        ("v1", b'{"model":"nobody"}', "plain"),
        ("v1", b"{", "plain"),
        ("v1", b"", "plain"),
    ],
)
def test_an_answer_is_found_by_the_path_or_else_by_the_model(name: str, body: bytes, answer: str) -> None:
    assert answer_of(name, body) is ANSWERS[answer]


def test_the_baseline_passes_on_by_key_and_writes_in_its_folder_alone(tmp_path: Path) -> None:
    text = plain_config_text(
        tmp_path, port=1234, key="steady", steady_url="http://127.0.0.1:1", hostile_url="http://127.0.0.1:2"
    )
    assert text.count("{") == text.count("}")
    assert "listen 127.0.0.1:1234 " in text
    assert "upstream steady { server 127.0.0.1:1;" in text
    assert 'map $http_authorization $provider { "Bearer steady" steady; ~. hostile;' in text
    written = [line.split()[1] for line in text.splitlines() if line.split()[:1] in (["pid"], ["error_log"])]
    written += [line.split()[1].rstrip(";") for line in text.splitlines() if "_temp_path " in line]
    assert len(written) == 7
    assert all(path.startswith(str(tmp_path)) for path in written)


@pytest.mark.parametrize("name", sorted(name for name, answer in ANSWERS.items() if answer.length is not None))
def test_an_answer_with_a_length_has_it(name: str) -> None:
    answer = ANSWERS[name]
    assert sum(map(len, answer.pieces())) == answer.length


def test_filled_bodies_and_requests_are_what_they_say() -> None:
    assert b"".join(filled(b"[", b"1,", b"2]", 11)) == b"[1,1,1,1,2]"
    assert max(map(len, filled(b"", b"ab", b"", 4 * PIECE_BYTES))) == PIECE_BYTES
    assert len(gzip_bomb(b"[],", 3_000_000)) < 10_000
    assert post("/a", b"xyz", key="k").startswith(b"POST /a HTTP/1.1\r\n")
    assert b"\r\ncontent-length: 3\r\n\r\nxyz" in post("/a", b"xyz", key="k")
    assert b"authorization" not in head("GET", "/")
