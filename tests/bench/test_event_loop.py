"""What the benchmark of the event loop prints."""

import asyncio

from bench.event_loop import Gap, Round, Stages, lines, measure


def test_stages_tell_what_went_on_in_a_gap() -> None:
    stages = Stages()
    stages.begun = [(1.0, "collect"), (2.0, "encode"), (5.0, "end")]
    assert stages.between(1.5, 1.6) == "collect"
    assert stages.between(1.5, 2.5) == "collect, encode"
    assert stages.between(6.0, 7.0) == "end"


def test_a_gap_of_its_own_making_is_the_time_that_the_process_worked_in_it() -> None:
    waited, worked = Gap(90.0, 0.5, "collect"), Gap(12.0, 11.0, "encode")
    printed = lines({"push": [Round(1.0, waited, worked, 3.0), Round(3.0, worked, worked, 1.0)]})
    assert printed == [
        "push: 2.00 s",
        "  longest gap of each round (ms)        90.0   12.0",
        "  of them this process worked (ms)       0.5   11.0",
        "  longest gap of its own making (ms)    11.0   11.0",
        "  the longest of these during         encode",
        "  longest garbage collection (ms)        3.0    1.0",
    ]


def test_work_in_a_thread_is_watched_until_it_ends() -> None:
    measured = asyncio.run(measure(lambda stages: stages.begin("work")))
    assert measured.seconds > 0
    assert measured.longest.during in {"", "work"}
