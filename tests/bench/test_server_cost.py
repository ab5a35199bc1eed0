import os
from pathlib import Path

import pytest

from bench.cores import Cores, available_cores, on_cores, split_cores
from bench.server_cost import Cost, read_cost, switches_between

TICK = os.sysconf("SC_CLK_TCK")


def process(
    proc: Path, pid: int, session: int, ticks: tuple[int, int, int, int], switches: dict[int, tuple[int, int]]
) -> None:
    folder = proc / str(pid)
    rest = [*("S", "1", str(session), str(session)), *["0"] * 7, *map(str, ticks), *["0"] * 10]
    for thread, (wanted, unwanted) in switches.items():
        (folder / "task" / str(thread)).mkdir(parents=True)
        (folder / "task" / str(thread) / "status").write_text(
            f"Name:\tx\nvoluntary_ctxt_switches:\t{wanted}\nnonvoluntary_ctxt_switches:\t{unwanted}\n"
        )
    (folder / "stat").write_text(f"{pid} (a) b (c) {' '.join(rest)}\n")


def test_all_processes_of_the_session_count_with_their_threads_and_ended_children(tmp_path: Path) -> None:
    process(tmp_path, 10, 10, (1 * TICK, 2 * TICK, 3 * TICK, 4 * TICK), {10: (5, 1), 11: (7, 0)})
    process(tmp_path, 20, 10, (10 * TICK, 0, 0, 0), {20: (100, 10)})
    process(tmp_path, 30, 30, (1000 * TICK, 0, 0, 0), {30: (1000, 0)})
    (tmp_path / "self").mkdir()
    assert read_cost(10, tmp_path) == Cost(cpu_seconds=20.0, switches={10: 6, 11: 7, 20: 110})


def test_a_process_that_ends_meanwhile_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "40").mkdir()
    process(tmp_path, 10, 10, (TICK, 0, 0, 0), {10: (1, 0)})
    assert read_cost(10, tmp_path).cpu_seconds == 1.0


def test_switches_of_new_threads_count_and_those_of_ended_ones_take_nothing_away() -> None:
    before, after = Cost(0.0, {1: 10, 2: 50}), Cost(0.0, {1: 14, 3: 5})
    assert switches_between(before, after) == 9


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_this_process_can_be_read() -> None:
    assert os.getpid() in read_cost(os.getsid(0)).switches


def test_the_server_has_the_last_core_alone() -> None:
    cores = split_cores(frozenset({0, 2, 5}))
    assert cores == Cores(server=frozenset({5}), load=frozenset({0, 2}))
    assert cores.describe() == "server on core 5, load, upstream and OTLP endpoint on core 0, 2"


@pytest.mark.parametrize("available", [frozenset(), frozenset({3})])
def test_nothing_is_pinned_on_one_core(available: frozenset[int]) -> None:
    assert split_cores(available) == Cores()
    assert "nothing is pinned" in Cores().describe()


def test_cores_are_given_back() -> None:
    before = available_cores()
    with on_cores(frozenset(sorted(before)[-1:])):
        assert available_cores() == frozenset(sorted(before)[-1:])
    with on_cores(frozenset()):
        assert available_cores() == before
    assert available_cores() == before
