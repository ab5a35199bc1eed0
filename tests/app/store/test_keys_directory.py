"""From a secret to a caller: what is remembered, for how long, and what a failing database means."""

import asyncio
import secrets

import pytest
from sqlalchemy import text

from app.config.schema import PlanConfig
from app.errors import InvalidApiKeyError, KeyExpiredError, OverloadedError, StoreUnavailableError
from app.gateway.ports import Caller
from app.store.key_directory import StoredKeyDirectory
from app.store.keys import ApiKeys, hash_secret
from otel.events import CacheLookedUp, QueryFinished

PLANS = (PlanConfig(name="free", key_requests_per_minute=60, key_tokens_per_minute=1_000), PlanConfig(name="pro"))
UNKNOWN = "gwz_" + "x" * 43


@pytest.fixture
def keys(engine, clock) -> ApiKeys:
    return ApiKeys(engine, clock, secrets.token_bytes)


@pytest.fixture
def directory(keys, clock, recorder) -> StoredKeyDirectory:
    return StoredKeyDirectory(keys, PLANS, clock, recorder)


def hits(recorder) -> list[bool]:
    return [event.hit for event in recorder.of(CacheLookedUp)]


async def test_a_key_is_asked_for_once_and_then_known(directory, keys, recorder) -> None:
    new = await keys.create(name="Ada", plan="free")
    recorder.events.clear()
    expected = Caller(key_id=new.key.key_id, plan="free", requests_per_minute=60, tokens_per_minute=1_000)
    assert [await directory.find(new.secret) for _ in range(3)] == [expected] * 3
    assert hits(recorder) == [False, True, True]
    assert len(recorder.of(QueryFinished)) == 1
    assert {event.cache for event in recorder.of(CacheLookedUp)} == {"api_key"}


async def test_an_unknown_key_is_remembered_too_and_found_after_it_was_made(
    directory, keys, engine, clock, recorder
) -> None:
    for _ in range(3):
        with pytest.raises(InvalidApiKeyError):
            await directory.find(UNKNOWN)
    assert hits(recorder) == [False, True, True]
    assert len(recorder.of(QueryFinished)) == 1
    await keys.create(name="Ada", plan="free")
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE api_keys SET secret_sha256 = :hash"), {"hash": hash_secret(UNKNOWN)})
    clock.advance(5)
    assert (await directory.find(UNKNOWN)).plan == "free"


@pytest.mark.parametrize(
    "secret", ["", "gwz_", UNKNOWN + "x", UNKNOWN[:-1], "sk-" + "x" * 44, UNKNOWN[:-1] + "é", UNKNOWN + "\n"]
)
async def test_what_is_no_key_is_refused_without_a_look_up(directory, recorder, secret) -> None:
    with pytest.raises(InvalidApiKeyError) as caught:
        await directory.find(secret)
    assert recorder.events == []
    assert not secret or secret not in caught.value.message


async def test_a_revoked_key_ends_within_the_time_to_live(directory, keys, clock) -> None:
    new = await keys.create(name="Ada", plan="free")
    await directory.find(new.secret)
    await keys.revoke(new.key.key_id)
    clock.advance(4.999)
    await directory.find(new.secret)
    clock.advance(0.001)
    with pytest.raises(InvalidApiKeyError, match="revoked"):
        await directory.find(new.secret)


async def test_a_key_in_use_is_renewed_before_its_time_is_over_and_no_request_waits(
    directory, keys, clock, recorder, monkeypatch
) -> None:
    new = await keys.create(name="Ada", plan="free")
    await directory.find(new.secret)
    find_by_hash, asked, may_respond = keys.find_by_hash, [], asyncio.Event()

    async def slow(secret_sha256):
        asked.append(secret_sha256)
        await may_respond.wait()
        return await find_by_hash(secret_sha256)

    monkeypatch.setattr(keys, "find_by_hash", slow)
    recorder.events.clear()
    clock.advance(2.9)
    await directory.find(new.secret)
    assert directory._queries == {}
    clock.advance(0.2)
    # One query, however many requests come meanwhile; none of them waits for it.
    for _ in range(3):
        await directory.find(new.secret)
        await asyncio.sleep(0)
    assert len(asked) == 1
    await keys.revoke(new.key.key_id)
    may_respond.set()
    await asyncio.gather(*directory._queries.values())
    with pytest.raises(InvalidApiKeyError, match="revoked"):
        await directory.find(new.secret)
    assert hits(recorder) == [True] * 5


async def test_a_renewal_that_fails_changes_nothing(directory, keys, clock, monkeypatch, caplog) -> None:
    new = await keys.create(name="Ada", plan="free")
    expected = await directory.find(new.secret)

    async def fails(_secret_sha256):
        raise StoreUnavailableError("down")

    monkeypatch.setattr(keys, "find_by_hash", fails)
    clock.advance(4)
    for _ in range(3):
        assert await directory.find(new.secret) == expected
        await asyncio.gather(*directory._queries.values(), return_exceptions=True)
        await asyncio.sleep(0)
    clock.advance(2)
    assert await directory.find(new.secret) == expected
    assert caplog.records == []


async def test_a_trial_ends_on_time_also_from_memory(directory, keys, clock) -> None:
    new = await keys.create(name="Ada", plan="free", trial_days=1)
    clock.advance(86_400 - 1)
    await directory.find(new.secret)
    clock.advance(1)
    with pytest.raises(KeyExpiredError):
        await directory.find(new.secret)


async def test_a_key_whose_plan_is_gone_is_refused_and_logged_once(directory, keys, caplog) -> None:
    new = await keys.create(name="Ada", plan="enterprise")
    for _ in range(3):
        with pytest.raises(InvalidApiKeyError, match="plan"):
            await directory.find(new.secret)
    assert len(caplog.records) == 1
    assert "enterprise" in caplog.text


async def test_a_key_that_was_good_lately_works_while_the_database_fails(directory, keys, engine, clock) -> None:
    new = await keys.create(name="Ada", plan="free")
    await directory.find(new.secret)
    async with engine.begin() as connection:
        await connection.execute(text("ALTER TABLE api_keys RENAME TO away"))
    clock.advance(4)
    await directory.find(new.secret)
    with pytest.raises(StoreUnavailableError):
        await directory.find(UNKNOWN)
    clock.advance(60)
    assert (await directory.find(new.secret)).key_id == new.key.key_id
    clock.advance(1)
    with pytest.raises(StoreUnavailableError):
        await directory.find(new.secret)
    async with engine.begin() as connection:
        await connection.execute(text("ALTER TABLE away RENAME TO api_keys"))
    await directory.find(new.secret)
    with pytest.raises(InvalidApiKeyError):
        await directory.find(UNKNOWN)


async def test_requests_that_miss_together_share_one_query_and_leave_it_alone(directory, keys, recorder) -> None:
    new = await keys.create(name="Ada", plan="free")
    recorder.events.clear()
    first = asyncio.create_task(directory.find(new.secret))
    others = [asyncio.create_task(directory.find(new.secret)) for _ in range(20)]
    await asyncio.sleep(0)
    first.cancel()
    callers = await asyncio.gather(*others)
    assert {caller.key_id for caller in callers} == {new.key.key_id}
    assert first.cancelled()
    assert len(recorder.of(QueryFinished)) == 1
    assert hits(recorder) == [False] * 21


async def test_somebody_who_tries_keys_pushes_out_no_real_one(keys, clock, recorder) -> None:
    directory = StoredKeyDirectory(keys, PLANS, clock, recorder, max_entries=10)
    new = await keys.create(name="Ada", plan="free")
    await directory.find(new.secret)
    for number in range(30):
        with pytest.raises(InvalidApiKeyError):
            await directory.find(f"gwz_{number:043}")
    recorder.events.clear()
    await directory.find(new.secret)
    assert hits(recorder) == [True]
    assert (len(directory._found), len(directory._unknown)) == (1, 10)


class SlowKeys:
    """Keys whose database responds when it may."""

    def __init__(self, keys: ApiKeys) -> None:
        self.may_respond = asyncio.Event()
        self._keys = keys

    async def find_by_hash(self, secret_sha256: str):
        await self.may_respond.wait()
        return await self._keys.find_by_hash(secret_sha256)


@pytest.mark.parametrize("is_one_key", [False, True])
async def test_those_who_try_keys_wait_in_few_places(keys, clock, recorder, monkeypatch, is_one_key: bool) -> None:
    """A key that was valid lately needs none of them, and they are free again when the lookups are over."""
    new = await keys.create(name="Ada", plan="free")
    slow = SlowKeys(keys)
    directory = StoredKeyDirectory(keys, PLANS, clock, recorder, max_strangers=3)
    await directory.find(new.secret)
    monkeypatch.setattr(directory, "_keys", slow)
    secrets_tried = [f"gwz_{0 if is_one_key else number:043}" for number in range(5)]
    tried = [asyncio.create_task(directory.find(each)) for each in secrets_tried]
    left = asyncio.create_task(directory.find(f"gwz_{9:043}"))
    clock.advance(6)
    assert (await directory.find(new.secret)).key_id == new.key.key_id
    slow.may_respond.set()
    refused = [type(each) for each in await asyncio.gather(*tried, left, return_exceptions=True)]
    assert refused == [InvalidApiKeyError] * 3 + [OverloadedError] * 3
    with pytest.raises(InvalidApiKeyError):
        await directory.find(f"gwz_{10:043}")


async def test_a_slow_database_delays_a_key_that_was_good_lately_only_a_little(
    keys, clock, recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = await keys.create(name="Ada", plan="free")
    slow = SlowKeys(keys)
    directory = StoredKeyDirectory(keys, PLANS, clock, recorder)
    await directory.find(new.secret)
    monkeypatch.setattr(directory, "_keys", slow)
    await keys.revoke(new.key.key_id)
    clock.advance(6)
    assert (await directory.find(new.secret)).key_id == new.key.key_id
    # The query went on: what it found counts from then on.
    slow.may_respond.set()
    await asyncio.gather(*directory._queries.values())
    with pytest.raises(InvalidApiKeyError):
        await directory.find(new.secret)


async def test_a_database_that_hangs_is_unavailable_in_time(clock, recorder) -> None:
    class HangingKeys(ApiKeys):
        async def find_by_hash(self, secret_sha256: str) -> None:
            await asyncio.Event().wait()

    directory = StoredKeyDirectory(
        HangingKeys(None, clock, secrets.token_bytes), PLANS, clock, recorder, query_seconds=0.05
    )
    async with asyncio.timeout(20):
        for _ in range(2):
            with pytest.raises(StoreUnavailableError):
                await directory.find(UNKNOWN)
    await asyncio.sleep(0)
    assert directory._queries == {}


async def test_requests_wait_for_a_silent_database_once_and_not_each(directory, keys, clock, monkeypatch) -> None:
    new = await keys.create(name="Ada", plan="free")
    expected = await directory.find(new.secret)
    waited = []

    async def wait(tasks, **options):
        waited.append(options["timeout"])
        return set(), tasks

    async def never(_secret_sha256):
        await asyncio.Event().wait()

    monkeypatch.setattr(keys, "find_by_hash", never)
    monkeypatch.setattr(asyncio, "wait", wait)
    clock.advance(5)
    assert [await directory.find(new.secret) for _ in range(4)] == [expected] * 4
    clock.advance(2)
    assert await directory.find(new.secret) == expected
    assert waited == [0.25, 0, 0, 0, 0.25]
