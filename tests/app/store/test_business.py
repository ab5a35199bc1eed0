"""Keys, subscriptions and trials are counted as they are at the moment that is asked for."""

import pytest

from app.errors import StoreUnavailableError
from app.store.business import BusinessCounts, business_counts
from app.store.database import create_engine
from app.store.keys import ApiKeys
from otel.recording.noop import DisabledRecorder

DAY_SECONDS = 86_400


@pytest.fixture
def keys(engine, clock) -> ApiKeys:
    serial = iter(range(1, 1_000_000))
    return ApiKeys(engine, clock, lambda size: next(serial).to_bytes(size, "big"))


async def test_no_keys_are_a_true_zero(engine, clock) -> None:
    counts = await business_counts(engine, clock.unix_ms())
    assert counts == BusinessCounts(active_keys=0, active_trials=0, subscriptions={})


async def test_revoked_and_expired_keys_are_not_counted_and_trials_are_no_subscriptions(engine, clock, keys) -> None:
    await keys.create(name="a", plan="free")
    await keys.create(name="b", plan="pro")
    revoked = await keys.create(name="c", plan="pro")
    await keys.create(name="d", plan="pro", trial_days=1)
    await keys.create(name="e", plan="team", trial_days=7)
    await keys.revoke(revoked.key.key_id)
    counts = await business_counts(engine, clock.unix_ms())
    assert counts == BusinessCounts(active_keys=4, active_trials=2, subscriptions={"free": 1, "pro": 1})
    clock.advance(DAY_SECONDS)  # to the very moment at which the first trial ends
    counts = await business_counts(engine, clock.unix_ms())
    assert counts == BusinessCounts(active_keys=3, active_trials=1, subscriptions={"free": 1, "pro": 1})


async def test_a_database_that_is_away_is_one_error_and_no_zero() -> None:
    engine = create_engine("postgresql+asyncpg://u@127.0.0.1:1/x", DisabledRecorder())
    with pytest.raises(StoreUnavailableError):
        await business_counts(engine, 0)
    await engine.dispose()
