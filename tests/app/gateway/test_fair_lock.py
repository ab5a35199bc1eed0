"""Turns go round the owners, and who stops waiting holds nobody up."""

import asyncio
import random

import pytest

from app.gateway.capacity.fair_lock import FairLock


class Log:
    def __init__(self):
        self.turn = FairLock()
        self.order = []
        self.holders = 0

    async def work(self, owner, release):
        async with self.turn.of(owner):
            self.holders += 1
            assert self.holders == 1
            self.order.append(owner)
            try:
                await release.wait()
                await asyncio.sleep(0)
            finally:
                self.holders -= 1


async def test_one_that_asks_often_waits_behind_its_own() -> None:
    log, release = Log(), asyncio.Event()
    tasks = [asyncio.create_task(log.work(owner, release)) for owner in ("busy",) * 5 + ("a", "b", "a")]
    await asyncio.sleep(0)
    assert log.order == ["busy"]
    release.set()
    await asyncio.gather(*tasks)
    assert log.order == ["busy", "busy", "a", "b", "busy", "a", "busy", "busy"]
    assert not log.turn.is_held


@pytest.mark.parametrize("seed", range(20))
async def test_cancelled_waiters_and_holders_lose_no_turn(seed) -> None:
    chance, log, release = random.Random(seed), Log(), asyncio.Event()
    release.set()
    tasks = []
    for number in range(60):
        tasks.append(asyncio.create_task(log.work(f"owner {number % 4}", release)))
        if chance.random() < 0.5:
            chance.choice(tasks).cancel()
        if chance.random() < 0.5:
            await asyncio.sleep(0)
    await asyncio.gather(*tasks, return_exceptions=True)
    assert (log.holders, log.turn.is_held) == (0, False)
    async with log.turn.of("last"):
        assert log.turn.is_held
