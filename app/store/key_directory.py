"""Finds the caller of a secret, mostly from memory.

Each lookup is one `CacheLookedUp`. Only hashes of secrets are kept. A key that is revoked, or created
after it was tried, is noticed after `ttl_seconds` at the latest. While the database fails or is
slow, keys that were valid recently stay valid for `grace_seconds` more.
"""

import asyncio
import logging
from collections.abc import Iterable

from app.config.schema import PlanConfig
from app.errors import InvalidApiKeyError, KeyExpiredError, OverloadedError, StoreUnavailableError
from app.gateway.in_flight import RETRY_AFTER_SECONDS
from app.gateway.ports import Caller, Clock
from app.store.fresh_entries import FreshEntries
from app.store.keys import SECRET_PATTERN, ApiKey, ApiKeys, hash_secret
from otel.events import CacheLookedUp, Recorder

_NO_RESPONSE = "The gateway's database does not respond; try again."
_PATIENCE_SECONDS = 0.25
"""How long a request waits for the database where a recent result exists; the query continues and its result is stored."""

_RENEWED_SHARE = 0.4
"""A known key that is used in so much of the end of its time to live is queried again meanwhile: its requests wait for no query."""

_LOGGER = logging.getLogger(__name__)


class StoredKeyDirectory:
    """Satisfies `KeyDirectory`. For one event loop.

    Known and unknown keys are cached separately, `max_entries` each, so that a client that tries keys cannot evict the real ones.
    Requests that miss on the same key at the same time share one query. `query_seconds` bounds it. At most `max_strangers` requests
    whose key was not valid lately wait at the same time, so that those who try keys do not take the places of callers.
    """

    def __init__(
        self,
        keys: ApiKeys,
        plans: Iterable[PlanConfig],
        clock: Clock,
        recorder: Recorder,
        *,
        ttl_seconds: float = 5.0,
        grace_seconds: float = 60.0,
        max_entries: int = 10_000,
        query_seconds: float = 2.0,
        max_strangers: int = 250,
    ) -> None:
        self._keys = keys
        self._plans = {plan.name: plan for plan in plans}
        self._clock = clock
        self._recorder = recorder
        self._query_seconds = query_seconds
        self._renewed_seconds = _RENEWED_SHARE * ttl_seconds
        self._found: FreshEntries[ApiKey] = FreshEntries(ttl_seconds, max_entries, clock, grace_seconds=grace_seconds)
        self._unknown: FreshEntries[None] = FreshEntries(ttl_seconds, max_entries, clock)
        self._unresponsive_until = 0.0
        self._queries: dict[str, asyncio.Task[ApiKey | None]] = {}
        self._warned_plans: set[str] = set()
        self._max_strangers = max_strangers
        self._strangers = 0

    async def find(self, secret: str) -> Caller:
        """Return the caller; raises `InvalidApiKeyError`, `KeyExpiredError`, `OverloadedError` or `StoreUnavailableError`.

        What does not look like a key of the gateway is refused without a lookup.
        """
        if not SECRET_PATTERN.fullmatch(secret):
            raise InvalidApiKeyError("Incorrect API key provided.")
        secret_sha256 = hash_secret(secret)
        entry = self._found.get(secret_sha256) or self._unknown.get(secret_sha256)
        self._recorder.record(CacheLookedUp(cache="api_key", hit=entry is not None))
        if entry is None:
            return self._caller(await self._query(secret_sha256))
        if entry.value is not None and entry.expires - self._clock.monotonic() <= self._renewed_seconds:
            self._start_query(secret_sha256)
        return self._caller(entry.value)

    def _caller(self, key: ApiKey | None) -> Caller:
        if key is None:
            raise InvalidApiKeyError("Incorrect API key provided.")
        if key.revoked_unix_ms is not None:
            raise InvalidApiKeyError("This API key was revoked.")
        if key.trial_ends_unix_ms is not None and key.trial_ends_unix_ms <= self._clock.unix_ms():
            raise KeyExpiredError("The trial of this API key is over.")
        plan = self._plans.get(key.plan)
        if plan is None:
            self._warn_of_plan(key.plan)
            raise InvalidApiKeyError("The plan of this API key no longer exists; ask the operator of the gateway.")
        return Caller(
            key_id=key.key_id,
            plan=plan.name,
            requests_per_minute=plan.key_requests_per_minute,
            tokens_per_minute=plan.key_tokens_per_minute,
        )

    async def _query(self, secret_sha256: str) -> ApiKey | None:
        known = self._found.get_kept(secret_sha256)
        if known is None:
            return await self._query_stranger(secret_sha256)
        # Another request has just waited without result: this one uses the cached key at once.
        is_unresponsive = self._clock.monotonic() < self._unresponsive_until
        patience_seconds = 0.0 if is_unresponsive else min(self._query_seconds, _PATIENCE_SECONDS)
        task = self._start_query(secret_sha256)
        await asyncio.wait({task}, timeout=patience_seconds)
        if not task.done() or task.exception() is not None:
            if patience_seconds:
                self._unresponsive_until = self._clock.monotonic() + self._query_seconds
            return known.value
        return task.result()

    async def _query_stranger(self, secret_sha256: str) -> ApiKey | None:
        """Query a key that was not valid lately."""
        if self._strangers >= self._max_strangers:
            raise OverloadedError(
                "The gateway looks up as many unknown API keys as it admits.", retry_after_seconds=RETRY_AFTER_SECONDS
            )
        self._strangers += 1
        try:
            task = self._start_query(secret_sha256)
            # Not `await task`: a client that leaves must not cancel the others' query, nor wait while a driver cleans up after one.
            await asyncio.wait({task}, timeout=self._query_seconds)
        finally:
            self._strangers -= 1
        if not task.done():
            raise StoreUnavailableError(_NO_RESPONSE)
        return task.result()

    def _start_query(self, secret_sha256: str) -> asyncio.Task[ApiKey | None]:
        """Return the query for a key, which begins unless one runs."""
        task = self._queries.get(secret_sha256)
        if task is None:
            task = self._queries[secret_sha256] = asyncio.create_task(self._load(secret_sha256))
            task.add_done_callback(lambda done: self._end_query(secret_sha256, done))
        return task

    async def _load(self, secret_sha256: str) -> ApiKey | None:
        try:
            async with asyncio.timeout(self._query_seconds):
                key = await self._keys.find_by_hash(secret_sha256)
        except TimeoutError as error:
            raise StoreUnavailableError(_NO_RESPONSE) from error
        if key is None:
            self._unknown.put(secret_sha256, None)
        else:
            self._found.put(secret_sha256, key)
        return key

    def _end_query(self, secret_sha256: str, task: asyncio.Task[ApiKey | None]) -> None:
        del self._queries[secret_sha256]
        if not task.cancelled():
            task.exception()  # retrieved: asyncio would log an exception that no task retrieves

    def _warn_of_plan(self, plan: str) -> None:
        if plan not in self._warned_plans:
            self._warned_plans.add(plan)
            _LOGGER.warning("API keys of the plan %r are refused: the configuration has no such plan", plan)
