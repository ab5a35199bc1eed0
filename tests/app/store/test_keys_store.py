"""API keys in the table: made once, recognisable, never readable again."""

import base64
import hashlib

import pytest
from sqlalchemy import text

from app.errors import StoreUnavailableError
from app.store.database import create_engine, open_database
from app.store.keys import SECRET_PATTERN, ApiKeys
from otel.recording.noop import DisabledRecorder

DAY_MS = 86_400_000


class CountingBytes:
    """Predictable "randomness": each call fills its bytes with the next number."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, size: int) -> bytes:
        self.calls += 1
        return bytes([self.calls]) * size


@pytest.fixture
def keys(engine, clock) -> ApiKeys:
    return ApiKeys(engine, clock, CountingBytes())


async def test_a_key_is_stored_as_its_hash_and_found_by_it(keys, engine, clock) -> None:
    new = await keys.create(name="Ada", plan="free", trial_days=3)
    assert new.secret == "gwz_" + base64.urlsafe_b64encode(b"\x01" * 32).decode().rstrip("=")
    assert SECRET_PATTERN.fullmatch(new.secret)
    assert new.key.secret_prefix == new.secret[:8]
    assert (new.key.created_unix_ms, new.key.trial_ends_unix_ms) == (clock.unix_ms(), clock.unix_ms() + 3 * DAY_MS)
    digest = hashlib.sha256(new.secret.encode()).hexdigest()
    assert await keys.find_by_hash(digest) == new.key
    assert await keys.find_by_hash(new.secret) is None
    async with engine.connect() as connection:
        (stored,) = (await connection.execute(text("SELECT * FROM api_keys"))).all()
    assert digest in stored
    assert new.secret not in str(stored)


async def test_the_file_holds_no_secret(sqlite_url, tmp_path, clock, recorder) -> None:
    engine = await open_database(sqlite_url, recorder)
    new = await ApiKeys(engine, clock, CountingBytes()).create(name="Ada", plan="free")
    await engine.dispose()
    content = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"Ada" in content
    assert new.secret[9:].encode() not in content


async def test_keys_are_listed_the_oldest_first(keys, clock) -> None:
    first = await keys.create(name="one", plan="free")
    clock.advance(1)
    second = await keys.create(name="two", plan="pro")
    assert await keys.list_all() == [first.key, second.key]


async def test_revoking_ends_a_key_once(keys, clock) -> None:
    new = await keys.create(name="Ada", plan="free")
    clock.advance(60)
    revoked, is_new = await keys.revoke(new.key.key_id)
    first_ms = clock.unix_ms()
    clock.advance(60)
    again, is_new_again = await keys.revoke(new.key.key_id)
    assert (is_new, is_new_again) == (True, False)
    assert revoked == again
    assert again.revoked_unix_ms == first_ms
    assert await keys.revoke("key_unknown") is None


async def test_status_over_time(keys, clock) -> None:
    new = await keys.create(name="Ada", plan="free", trial_days=1)
    assert new.key.status(clock.unix_ms()) == "active"
    assert new.key.status(clock.unix_ms() + DAY_MS - 1) == "active"
    assert new.key.status(clock.unix_ms() + DAY_MS) == "expired"
    revoked, _ = await keys.revoke(new.key.key_id)
    assert revoked.status(clock.unix_ms() + DAY_MS) == "revoked"


async def test_a_database_that_is_away_is_one_error(clock) -> None:
    engine = create_engine("postgresql+asyncpg://u@127.0.0.1:1/x", DisabledRecorder())
    keys = ApiKeys(engine, clock, CountingBytes())
    for call in (keys.create(name="n", plan="p"), keys.list_all(), keys.revoke("k"), keys.find_by_hash("00")):
        with pytest.raises(StoreUnavailableError):
            await call
    await engine.dispose()
