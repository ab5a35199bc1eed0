"""The spending of keys and plans in a Valkey or Redis server, shared by processes and hosts.

Each account has three keys: what was spent, the reservations of calls in flight by when they lapse, and
their sum. One script checks and reserves all accounts of a call. What a killed process had reserved
lapses after an hour. An account that the server does not have (its first call, or the server was
restarted) begins with what the ledger has. A server that fails refuses nothing: each process then
knows its own spending. All keys are on one server: no cluster.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Final, cast

from app.gateway.budgets.accounts import Budget, Shortage, SpendingReader
from app.gateway.ports import Clock
from app.store.valkey_server import ValkeyServer

_LAPSE_MS: Final = 3_600_000
_MOST_LAPSED: Final = 100
"""Reservations that one script may drop, so that it stays short."""

_RESERVE: Final = f"""
for i = 1, #KEYS / 3 do
  local spent, held, sum = redis.call('GET', KEYS[3*i-2]), KEYS[3*i-1], KEYS[3*i]
  if not spent then return {{-1, i, 0, 0}} end
  for _, lapsed in ipairs(redis.call('ZRANGEBYSCORE', held, '-inf', ARGV[1], 'LIMIT', 0, {_MOST_LAPSED})) do
    redis.call('ZREM', held, lapsed)
    redis.call('DECRBY', sum, string.match(lapsed, '^%d+'))
  end
  local reserved = redis.call('GET', sum) or '0'
  if tonumber(spent) + tonumber(reserved) + math.max(tonumber(ARGV[3]), 1) > tonumber(ARGV[3+2*i]) then
    return {{0, i, spent, reserved}}
  end
end
for i = 1, #KEYS / 3 do
  redis.call('ZADD', KEYS[3*i-1], ARGV[2], ARGV[4])
  redis.call('INCRBY', KEYS[3*i], ARGV[3])
  for k = 3*i-2, 3*i do redis.call('PEXPIRE', KEYS[k], ARGV[4+2*i]) end
end
return {{1, 0, 0, 0}}
"""
_SETTLE: Final = """
for i = 1, #KEYS / 3 do
  if redis.call('ZREM', KEYS[3*i-1], ARGV[1]) == 1 then redis.call('DECRBY', KEYS[3*i], ARGV[2]) end
  if redis.call('EXISTS', KEYS[3*i-2]) == 1 then redis.call('INCRBY', KEYS[3*i-2], ARGV[3]) end
end
return 1
"""


class ValkeySpending:
    """Satisfies `SharedSpending`. For one event loop; `close` it at the end."""

    def __init__(self, server: ValkeyServer, reader: SpendingReader, clock: Clock) -> None:
        self._server = server
        self._reader = reader
        self._clock = clock

    async def reserve(self, reservation_id: str, budgets: tuple[Budget, ...], nanousd: int) -> Shortage | None:
        """Reserve from all of the budgets, or from none; raises `StoreUnavailableError` where an account has to be read from the ledger."""
        now = self._clock.unix_ms()
        arguments: list[Any] = [now, now + _LAPSE_MS, nanousd, f"{nanousd}:{reservation_id}"]
        for budget in budgets:
            arguments += (budget.limit_nanousd, self._lasts_ms(budget))
        for _ in range(len(budgets) + 1):
            result = await self._server.attempt(self._script(_RESERVE, budgets, arguments))
            if not isinstance(result, list):
                return None
            state, place, spent, reserved = (int(each) for each in result)
            if state > 0:
                return None
            if not state:
                return Shortage(budgets[place - 1], spent, reserved)
            await self._begin(budgets[place - 1])
        return None

    async def settle(self, reservation_id: str, budgets: tuple[Budget, ...], nanousd: int, cost_nanousd: int) -> None:
        """Replace what was reserved by what the call cost."""
        arguments = [f"{nanousd}:{reservation_id}", nanousd, cost_nanousd]
        await self._server.attempt(self._script(_SETTLE, budgets, arguments))

    async def close(self) -> None:
        """Close the connections."""
        await self._server.close()

    async def _begin(self, budget: Budget) -> None:
        """Store what the ledger has of an account, unless another process was first."""
        spent = await self._reader.spent_nanousd(budget.account)
        key = _keys(budget)[0]
        await self._server.attempt(lambda: self._server.client.set(key, spent, nx=True, px=self._lasts_ms(budget)))

    def _lasts_ms(self, budget: Budget) -> int:
        """Return for how long an account is kept: until its period ends, and its last calls have."""
        return max(0, budget.end_unix_ms - self._clock.unix_ms()) + _LAPSE_MS

    def _script(
        self, script: str, budgets: tuple[Budget, ...], arguments: list[Any]
    ) -> Callable[[], Awaitable[object]]:
        keys = [key for budget in budgets for key in _keys(budget)]
        return lambda: cast("Awaitable[object]", self._server.client.eval(script, len(keys), *keys, *arguments))


def _keys(budget: Budget) -> tuple[str, str, str]:
    account = budget.account
    base = f"gatewayz:budget:{account.owner}:{account.period}:{account.start_unix_ms}:{account.owner_id}"
    return f"{base}:spent", f"{base}:held", f"{base}:reserved"
