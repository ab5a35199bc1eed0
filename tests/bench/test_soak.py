"""What a soak run makes of its figures."""

import json
from pathlib import Path

from bench.soak_report import Outcome, Sample, dropped_items
from bench.watched_gateway import Pauses, PauseWatch

EXPOSITION = """# TYPE gatewayz_telemetry_dropped_total counter
gatewayz_telemetry_dropped_total{signal="traces",reason="buffer_full"} 2
gatewayz_telemetry_dropped_total{signal="logs",reason="shutdown"} 1
gatewayz_telemetry_log_lines_dropped_total 4
gatewayz_ledger_rows_dropped_total 0
gatewayz_telemetry_exported_total{signal="logs"} 9
"""


def outcome(*memory: int, dropped: float = 0, unexpected: int = 0, streamed: int = 5) -> Outcome:
    samples = [Sample(seconds=60.0 * number, memory_bytes=each) for number, each in enumerate(memory, 1)]
    return Outcome(
        samples=samples,
        responses={"whole": 7, "streamed": streamed},
        unexpected=unexpected,
        dropped=dropped,
        pauses=Pauses(longest_seconds=0.0125, longest_cpu_seconds=0.004, generation=2),
        longest_scrape_seconds=0.25,
    )


def failed(shown: Outcome) -> list[str]:
    return [each.name for each in shown.criteria() if not each.is_met]


def test_what_was_dropped_is_the_sum_of_its_counters() -> None:
    assert dropped_items(EXPOSITION) == 7


def test_growth_counts_from_when_the_memory_has_settled() -> None:
    assert failed(outcome(50, 80, 100, 100, 100, 104)) == ["memory"]
    assert failed(outcome(50, 100, 100, 100, 100, 104)) == []
    assert failed(outcome(50, 100, 150, 100, 100, 106)) == ["memory"]
    assert failed(outcome(100)) == []


def test_each_criterion_is_a_line_of_its_own() -> None:
    assert failed(outcome(100, dropped=3)) == ["telemetry"]
    assert failed(outcome(100, unexpected=1)) == ["responses"]
    assert failed(outcome(100, streamed=0)) == ["responses"]
    mib = 1024 * 1024
    assert outcome(*[100 * mib] * 9, 106 * mib, dropped=3).lines() == [
        "FAIL memory: 100.0 MiB after 120 s, 106.0 MiB after 600 s: +6.0%, at most +5%",
        "FAIL telemetry: 3 items and ledger rows were dropped",
        "PASS responses: 7 whole, 5 streamed; 0 were not as expected",
        "longest garbage collection: 12.5 ms (generation 2), in processor time 4.0 ms",
        "longest scrape: 250 ms",
    ]


def test_the_longest_pause_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "pauses.json"
    times = iter([0.0, 9.0, 1.0, 1.25, 2.0, 2.125, 3.0, 3.5])
    cpu_times = iter([0.0, 8.0, 1.0, 1.0625, 2.0, 2.125, 3.0, 3.03125])
    serves: list[bool] = []
    watch = PauseWatch(path, lambda: next(times), lambda: next(cpu_times), lambda: bool(serves))
    watch("start", {"generation": 2})
    watch("stop", {"generation": 2})
    assert not path.exists()
    serves.append(True)
    for generation, longest, longest_cpu in ((0, 0.25, 0.0625), (1, 0.25, 0.125), (2, 0.5, 0.125)):
        watch("start", {"generation": generation})
        watch("stop", {"generation": generation})
        kept = json.loads(path.read_text())
        assert (kept["longest_seconds"], kept["longest_cpu_seconds"]) == (longest, longest_cpu)
    assert kept["generation"] == 2
