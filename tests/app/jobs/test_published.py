"""A state that is not known, not fresh or not ours is no state: None, never 0."""

import asyncio

import pytest

from app.gateway.clock import ManualClock
from app.jobs.published import Published


class Source:
    """Computes whatever the test has put in."""

    def __init__(self) -> None:
        self.result: int | BaseException = 0
        self.is_ours = True
        self.clock = ManualClock()
        self.state: Published[int] = Published(
            self.compute, clock=self.clock, max_age_seconds=10.0, may_publish=lambda: self.is_ours
        )

    async def compute(self) -> int:
        if isinstance(self.result, BaseException):
            raise self.result
        return self.result


@pytest.fixture
def source() -> Source:
    return Source()


async def test_a_result_is_read_until_it_is_too_old(source) -> None:
    assert source.state.read() is None
    source.result = 7
    await source.state.refresh()
    source.clock.advance(10.0)
    assert source.state.read() == 7
    source.clock.advance(0.1)
    assert source.state.read() is None


@pytest.mark.parametrize("failure", [ValueError("no"), asyncio.CancelledError()])
async def test_a_failure_takes_the_old_result_away(source, failure) -> None:
    await source.state.refresh()
    assert source.state.read() == 0
    source.result = failure
    with pytest.raises(type(failure)):
        await source.state.refresh()
    assert source.state.read() is None


async def test_only_whoever_may_publish_does(source) -> None:
    await source.state.refresh()
    source.is_ours = False
    assert source.state.read() is None
    source.is_ours = True
    assert source.state.read() == 0
