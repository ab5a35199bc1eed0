"""The mix of requests of the exact tests, which reaches every way in which an upstream fails."""

import asyncio
import time
from itertools import islice
from typing import Final

from demo.environment import Environment
from demo.traffic.arrivals import read_trace
from demo.traffic.counters import TrafficCounters
from demo.traffic.outcomes import Pace
from demo.traffic.schedule import EVEN_MIX, ScheduleOptions, schedule
from demo.traffic.sender import Traffic

REQUESTS: Final = 5_000
_SPEED: Final = 60.0


async def send(ready: Environment, counters: TrafficCounters, seed: int) -> float:
    """Send the mix as fast as the schedule's order allows; return the seconds it took."""
    plan = schedule(
        read_trace(), ScheduleOptions(seed=seed, run=f"exact{seed}", speed=_SPEED, mix=EVEN_MIX, pace=Pace(scale=0.1))
    )
    traffic = Traffic(
        gateway_url=ready.gateway_url,
        upstream_url=ready.upstream_url,
        keys=ready.keys,
        counters=counters,
        monotonic=time.monotonic,
        max_in_flight=32,
    )
    began = time.monotonic()
    async with asyncio.timeout(300.0):
        await traffic.run(islice(plan, REQUESTS), asyncio.Event())
    return time.monotonic() - began
