"""One holder at a time: renewal, takeover, release, and who may publish."""

import asyncio
import itertools

import pytest
from sqlalchemy import text

from app.errors import StoreUnavailableError
from app.gateway.clock import ManualClock
from app.store.database import create_engine
from app.store.leases import Lease, StoredLeases
from otel.recording.noop import DisabledRecorder

LEASE_SECONDS = 15.0
SKEW_SECONDS = 2.0


@pytest.fixture
def make_lease(engine, clock):
    serial = itertools.count(1)

    def make(holder_clock: ManualClock | None = None, name: str = "state") -> Lease:
        return Lease(
            StoredLeases(engine),
            holder_clock or clock,
            name=name,
            holder=f"instance-{next(serial)}",
            seconds=LEASE_SECONDS,
            clock_skew_seconds=SKEW_SECONDS,
        )

    return make


async def test_the_first_holds_and_keeps_it_as_long_as_it_renews(make_lease, clock) -> None:
    first, second = make_lease(), make_lease()
    assert not first.is_held()
    for _ in range(5):
        await first.renew()
        await second.renew()
        assert (first.is_held(), second.is_held()) == (True, False)
        clock.advance(LEASE_SECONDS / 3)


async def test_whoever_does_not_renew_stops_before_another_takes_over(make_lease, clock) -> None:
    first, second = make_lease(), make_lease()
    await first.renew()
    clock.advance(LEASE_SECONDS)
    assert not first.is_held()
    await second.renew()
    assert not second.is_held()  # the first one's clock may be behind
    clock.advance(SKEW_SECONDS)
    await second.renew()
    assert second.is_held()
    await first.renew()
    assert (first.is_held(), second.is_held()) == (False, True)


async def test_clocks_that_differ_less_than_the_margin_never_let_two_hold(make_lease, engine) -> None:
    ahead, behind = ManualClock(unix_ms=1_700_000_002_000), ManualClock(unix_ms=1_700_000_000_000)
    first, second = make_lease(behind), make_lease(ahead)
    await first.renew()
    for _ in range(100):
        await second.renew()
        assert not (first.is_held() and second.is_held())
        if second.is_held():
            break
        ahead.advance(0.5)
        behind.advance(0.5)
    assert second.is_held()


async def test_a_released_lease_is_free_at_once_and_only_its_holder_can_release_it(make_lease) -> None:
    first, second = make_lease(), make_lease()
    await first.renew()
    await second.release()
    await second.renew()
    assert not second.is_held()
    await first.release()
    assert not first.is_held()
    await second.renew()
    assert second.is_held()


async def test_leases_of_other_names_are_independent(make_lease) -> None:
    state, other = make_lease(name="state"), make_lease(name="other")
    await state.renew()
    await other.renew()
    assert state.is_held()
    assert other.is_held()


async def test_of_many_that_ask_at_once_one_gets_it(make_lease) -> None:
    leases = [make_lease() for _ in range(8)]
    await asyncio.gather(*(lease.renew() for lease in leases))
    assert sum(lease.is_held() for lease in leases) == 1


async def test_a_failing_database_lets_the_lease_run_out(make_lease, engine, clock) -> None:
    lease = make_lease()
    await lease.renew()
    async with engine.begin() as connection:
        await connection.execute(text("DROP TABLE leases"))
    clock.advance(LEASE_SECONDS / 3)
    with pytest.raises(StoreUnavailableError):
        await lease.renew()
    assert lease.is_held()
    clock.advance(LEASE_SECONDS)
    assert not lease.is_held()


async def test_a_database_that_is_away_is_one_error() -> None:
    engine = create_engine("postgresql+asyncpg://u@127.0.0.1:1/x", DisabledRecorder())
    lease = Lease(StoredLeases(engine), ManualClock(), name="state", holder="x", seconds=LEASE_SECONDS)
    with pytest.raises(StoreUnavailableError):
        await lease.renew()
    assert not lease.is_held()
    await engine.dispose()
