"""A short run of the console's fuzz (`make fuzz` sends 10 000 requests), and that it can fail."""

import os
import random
import sys
from pathlib import Path

from tests.fuzz.console_fuzz import fuzz_console
from tests.fuzz.console_inputs import make_input

INPUTS = 600


async def test_hostile_requests_get_no_5xx_and_leave_nothing_unreadable(tmp_path: Path) -> None:
    seed = int(os.environ.get("FUZZ_SEED") or 0) or random.SystemRandom().randrange(1, 2**31)
    sys.stdout.write(f"FUZZ_SEED={seed} runs the same again\n")
    report = await fuzz_console(tmp_path, inputs=INPUTS, seed=seed)
    assert not report.problems, "\n".join(report.problems)
    assert len(report.kinds) == 7
    assert {200, 400, 404, 415} <= report.statuses.keys()
    assert report.statuses[200] > INPUTS / 6
    assert all(report.stored.values()), report.stored


async def test_a_failure_is_found(tmp_path: Path, monkeypatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("console.receive.upload.span_groups", broken)
    report = await fuzz_console(tmp_path, inputs=30, seed=1)
    assert any("500" in problem for problem in report.problems)


def test_the_same_seed_makes_the_same_requests() -> None:
    first, again, other = (
        [make_input(rng)[0::3] for _ in range(50)] for rng in (random.Random(1), random.Random(1), random.Random(2))
    )
    assert first == again
    assert first != other
