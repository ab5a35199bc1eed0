"""GATEWAY: what happens to a request after it was read: caller, model, limits, cache, providers, account.

Comes in: a caller's secret, a valid request, the request's telemetry scope. Goes out: an answer, or a `GatewayError`. It knows HTTP neither
as a server nor as a client: `app/http` sends what comes out, `provider.py` fetches what goes in.
"""

from collections.abc import Callable

import msgspec

from app.errors import RateLimitedError
from app.gateway.answer_stream import AnswerStream
from app.gateway.call import Call
from app.gateway.calls_in_hand import CallsInHand
from app.gateway.failover import first_answer
from app.gateway.model_table import Model, ModelTable
from app.gateway.ports import (
    Caller,
    Clock,
    KeyDirectory,
    Ledger,
    LimitDecision,
    ProviderGate,
    RateLimiter,
    ResponseCache,
)
from app.gateway.request_body import CallRequest
from app.gateway.response_cache import cache_key, is_deterministic
from app.gateway.upstream_answer import UpstreamAnswer
from app.gateway.whole_answer import read_answer
from otel.events import CacheLookedUp, CallerIdentified, RateLimited, RequestScope


class Answer(msgspec.Struct, frozen=True):
    """A whole answer. `provider` is None where it came from the cache; `cache` says hit or miss where the cache was asked."""

    body: bytes
    provider: str | None
    cache: str | None


class Gateway:
    """The domain's one door; shared by all requests of an event loop."""

    def __init__(
        self,
        *,
        models: ModelTable,
        gate: ProviderGate,
        keys: KeyDirectory,
        limiter: RateLimiter,
        cache: ResponseCache,
        ledger: Ledger,
        calls_in_hand: CallsInHand,
        clock: Clock,
        new_call_id: Callable[[], str],
    ) -> None:
        self.models = models
        self.calls_in_hand = calls_in_hand
        self._gate = gate
        self._keys = keys
        self._limiter = limiter
        self._cache = cache
        self._ledger = ledger
        self._clock = clock
        self._new_call_id = new_call_id

    async def identify(self, scope: RequestScope, secret: str) -> Caller:
        """Return whose secret it is; raises what `KeyDirectory.find` raises."""
        caller = await self._keys.find(secret)
        scope.record(CallerIdentified(key_id=caller.key_id, plan=caller.plan))
        return caller

    async def admit(self, scope: RequestScope, caller: Caller) -> LimitDecision:
        """Count one request against the caller's limits, or refuse it."""
        decision = await self._limiter.admit(caller)
        if not decision.allowed:
            if decision.limit_type is not None:
                scope.record(RateLimited(limit_type=decision.limit_type))
            raise LimitReachedError(decision)
        return decision

    def open_call(self, scope: RequestScope, caller: Caller, request: CallRequest) -> Call:
        """Begin the account of an admitted request."""
        return Call(
            call_id=self._new_call_id(),
            scope=scope,
            caller=caller,
            request=request,
            ledger=self._ledger,
            clock=self._clock,
        )

    async def answer(self, call: Call, model: Model) -> Answer:
        """Answer a request that is not streamed, from the cache or a provider; the call has ended then."""
        key = self._cache_key(call, model)
        if key is not None:
            kept = await self._cache.get(key)
            call.scope.record(CacheLookedUp(cache="response", hit=kept is not None))
            if kept is not None:
                call.hit_cache()
                return Answer(kept, None, "hit")
        body = await first_answer(call, model, self._gate, self._clock, _take_whole)
        call.succeed()
        if key is not None:
            await self._cache.put(key, body, model.cache_ttl_seconds)
        return Answer(body, call.provider, None if key is None else "miss")

    async def open_stream(self, call: Call, model: Model) -> AnswerStream:
        """Find a provider that starts to stream; the call goes on until the stream's end."""

        async def take(answer: UpstreamAnswer) -> AnswerStream:
            stream = AnswerStream(call, answer)
            await stream.prime()
            return stream

        return await first_answer(call, model, self._gate, self._clock, take)

    async def settle(self, call: Call) -> None:
        """Charge the tokens of a call that has ended to its caller's limits."""
        usage = call.usage
        tokens = usage.input_tokens + usage.output_tokens
        if tokens:
            await self._limiter.charge_tokens(call.caller, tokens)

    @staticmethod
    def _cache_key(call: Call, model: Model) -> bytes | None:
        """Return the key of a request that the cache may answer; None for every other."""
        request = call.request
        # A text has one embedding, whatever else the request says.
        if model.cache_ttl_seconds <= 0 or not (
            request.operation == "embeddings"
            or is_deterministic(temperature=request.number("temperature"), n=request.number("n"), stream=request.stream)
        ):
            return None
        try:
            return cache_key(key_id=call.caller.key_id, model=model.name, body=request.body)
        except (ValueError, ArithmeticError, RecursionError):
            # JSON that can be passed on but not put into canonical form (a lone surrogate) is never the same twice.
            return None


class LimitReachedError(RateLimitedError):
    """A refusal of the limiter; `decision` is what the rate-limit headers say."""

    def __init__(self, decision: LimitDecision) -> None:
        kind = decision.limit_type or "key_requests"
        super().__init__(
            f"Rate limit reached: {kind.replace('_', ' ')} per minute. Retry after the time that Retry-After gives.",
            limit_type=kind,
            retry_after_seconds=decision.retry_after_seconds,
        )
        self.decision = decision


async def _take_whole(answer: UpstreamAnswer) -> bytes:
    """Read a whole answer and end its attempt."""
    body = await answer.read_all()
    attempt = answer.attempt
    found = read_answer(body, attempt.operation)
    answer.close(whole=True)
    attempt.response_id = found.response_id
    attempt.response_model = found.response_model
    attempt.finish_reason = found.finish_reason
    attempt.count_usage(found.usage, found.output_characters)
    attempt.succeed()
    return body
