"""What a soak run makes of its figures."""

import json
from pathlib import Path

from bench.soak import Outcome, Sample, dropped_items
from bench.watched_gateway import Pauses, PauseWatch

EXPOSITION = """# TYPE gatewayz_telemetry_dropped_total counter
gatewayz_telemetry_dropped_total{signal="traces",reason="buffer_full"} 2
gatewayz_telemetry_dropped_total{signal="logs",reason="shutdown"} 1
gatewayz_telemetry_log_lines_dropped_total 4
gatewayz_ledger_rows_dropped_total 0
gatewayz_telemetry_exported_total{signal="logs"} 9
"""


def outcome(*memory: int, dropped: float = 0) -> Outcome:
    samples = [Sample(seconds=number, responded=number, memory_bytes=each) for number, each in enumerate(memory)]
    return Outcome(samples=samples, dropped=dropped, pauses=Pauses(), longest_scrape_seconds=0)


def test_what_was_dropped_is_the_sum_of_its_counters() -> None:
    assert dropped_items(EXPOSITION) == 7


def test_growth_counts_from_when_the_memory_has_settled() -> None:
    assert outcome(50, 80, 100, 100, 100, 104).problems() == ["memory grew by 30.0%"]
    assert outcome(50, 100, 100, 100, 100, 104).problems() == []
    assert outcome(100).problems() == []
    assert outcome(100, 100, dropped=3).problems() == ["3 items of telemetry were dropped"]


def test_the_longest_pause_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "pauses.json"
    times = iter([0.0, 9.0, 1.0, 1.25, 2.0, 2.125, 3.0, 3.5])
    serves: list[bool] = []
    watch = PauseWatch(path, lambda: next(times), lambda: bool(serves))
    watch("start", {"generation": 2})
    watch("stop", {"generation": 2})
    assert not path.exists()
    serves.append(True)
    for generation, longest in ((0, 0.25), (1, 0.25), (2, 0.5)):
        watch("start", {"generation": generation})
        watch("stop", {"generation": generation})
        assert json.loads(path.read_text())["longest_seconds"] == longest
    assert json.loads(path.read_text())["generation"] == 2
