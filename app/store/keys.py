"""Creates, lists and revokes API keys in the table `api_keys`.

A secret is returned once, when it is created. Only its SHA-256 is stored: 32 random bytes need no
salt and no slow hash. Raises `StoreUnavailableError` when the database fails.
"""

import base64
import hashlib
import re
from collections.abc import Callable
from typing import Any

import msgspec
from sqlalchemy import Row, insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from app.gateway.ports import Clock
from app.store.database import database_errors
from app.store.schema import API_KEYS
from app.store.transactions import writing

SECRET_PATTERN = re.compile(r"gwz_[A-Za-z0-9_-]{43}")
_SECRET_BYTES = 32
_KEY_ID_BYTES = 8
_PREFIX_CHARS = 8
_DAY_MS = 86_400_000


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """One key as it is stored; times in milliseconds since the Unix epoch, None where the event has not happened and is not planned."""

    key_id: str
    secret_prefix: str
    name: str
    plan: str
    created_unix_ms: int
    revoked_unix_ms: int | None = None
    trial_ends_unix_ms: int | None = None

    def status(self, unix_ms: int) -> str:
        """`active`, `revoked` or `expired` (the trial is over), at a moment."""
        if self.revoked_unix_ms is not None:
            return "revoked"
        return "expired" if self.trial_ends_unix_ms is not None and self.trial_ends_unix_ms <= unix_ms else "active"


class NewApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key that was just made, with the secret that cannot be read again."""

    secret: str
    key: ApiKey


_COLUMNS = tuple(API_KEYS.c[field] for field in ApiKey.__struct_fields__)


def hash_secret(secret: str) -> str:
    """Return the SHA-256 of a secret in hex, as the table has it."""
    return hashlib.sha256(secret.encode()).hexdigest()


class ApiKeys:
    """Creates, lists, revokes and finds keys; `random_bytes(n)` returns n unpredictable bytes."""

    def __init__(self, engine: AsyncEngine, clock: Clock, random_bytes: Callable[[int], bytes]) -> None:
        self._engine = engine
        self._clock = clock
        self._random_bytes = random_bytes

    async def create(self, *, name: str, plan: str, trial_days: int | None = None) -> NewApiKey:
        """Store a new key; with `trial_days` it ends by itself after so many days."""
        secret = "gwz_" + base64.urlsafe_b64encode(self._random_bytes(_SECRET_BYTES)).decode().rstrip("=")
        now_unix_ms = self._clock.unix_ms()
        key = ApiKey(
            key_id="key_" + self._random_bytes(_KEY_ID_BYTES).hex(),
            secret_prefix=secret[:_PREFIX_CHARS],
            name=name,
            plan=plan,
            created_unix_ms=now_unix_ms,
            trial_ends_unix_ms=None if trial_days is None else now_unix_ms + trial_days * _DAY_MS,
        )
        with database_errors():
            async with writing(self._engine) as connection:
                values = msgspec.structs.asdict(key) | {"secret_sha256": hash_secret(secret)}
                await connection.execute(insert(API_KEYS).values(values))
        return NewApiKey(secret=secret, key=key)

    async def list_all(self) -> list[ApiKey]:
        """Return every key, the oldest first."""
        query = select(*_COLUMNS).order_by(API_KEYS.c.created_unix_ms, API_KEYS.c.key_id)
        with database_errors():
            async with self._engine.connect() as connection:
                return [_api_key(row) for row in await connection.execute(query)]

    async def revoke(self, key_id: str) -> tuple[ApiKey, bool] | None:
        """End a key; None when there is none with this id.

        The second value is true where this call revoked it: a key that was revoked before keeps its first date.
        """
        change = (
            update(API_KEYS)
            .where(API_KEYS.c.key_id == key_id, API_KEYS.c.revoked_unix_ms.is_(None))
            .values(revoked_unix_ms=self._clock.unix_ms())
            .returning(*_COLUMNS)
        )
        with database_errors():
            async with writing(self._engine) as connection:
                if changed := (await connection.execute(change)).first():
                    return _api_key(changed), True
                found = (await connection.execute(select(*_COLUMNS).where(API_KEYS.c.key_id == key_id))).first()
        return None if found is None else (_api_key(found), False)

    async def find_by_hash(self, secret_sha256: str) -> ApiKey | None:
        """Return the key with this hash, revoked and expired ones too."""
        query = select(*_COLUMNS).where(API_KEYS.c.secret_sha256 == secret_sha256)
        with database_errors():
            async with self._engine.connect() as connection:
                row = (await connection.execute(query)).first()
        return None if row is None else _api_key(row)


def _api_key(row: Row[Any]) -> ApiKey:
    return msgspec.convert(row._mapping, ApiKey)  # noqa: SLF001  SQLAlchemy's documented name
