"""The steps of a request between HTTP and the providers: caller, limits, model, cache, attempts, accounting.

Input: a caller's secret, a valid request, the request's telemetry scope. Output: a response, or
a `GatewayError`. It speaks HTTP neither as a server nor as a client: that is done by `app/http` and
`provider_client.py`.
"""

import contextlib
import time
from collections.abc import Callable, Mapping
from functools import partial
from http import HTTPStatus

import msgspec

from app.errors import BudgetSpentError, OverloadedError, RateLimitedError
from app.gateway.budgets.budgets import Budgets, Reservation
from app.gateway.budgets.largest_cost import largest_cost_nanousd
from app.gateway.call import Call
from app.gateway.capacity.key_turns import KeyTurns
from app.gateway.capacity.loop_sharing import LoopSharing
from app.gateway.capacity.offload import Offload, OffloadError
from app.gateway.capacity.response_budget import ResponseBudget, room_for
from app.gateway.exchange import UpstreamResponse
from app.gateway.failover import try_providers
from app.gateway.in_flight import CallsInFlight
from app.gateway.json_bounds import is_light
from app.gateway.models import Model, ModelTable
from app.gateway.openai.completion import ParsedResponse, read_response
from app.gateway.openai.failures import UpstreamFailure
from app.gateway.openai.request import CallRequest, Operation
from app.gateway.openai.request_reading import read_request
from app.gateway.overhead import OverheadTimer
from app.gateway.ports import (
    Caller,
    Clock,
    KeyDirectory,
    Ledger,
    LimitDecision,
    ProviderGate,
    ResponseCache,
)
from app.gateway.rate_limit import RateLimiter
from app.gateway.response_cache import MAX_CANONICAL_BYTES, cache_key, is_deterministic, literal_cache_key
from app.gateway.stream_relay import ResponseStream, StreamPacing
from otel.events import CacheLookedUp, CallerIdentified, RateLimited, RequestScope

_START_WEIGHT = 4
_RESPONSE_WEIGHT = 4
_BYTES_PER_WEIGHT = 20_000
"""A start and a small response take a quarter of a millisecond each; a response of a megabyte takes three."""


class WholeResponse(msgspec.Struct, frozen=True):
    """A response that is not streamed. `provider` is None where it came from the cache; `cache` is None where it was not used."""

    body: bytes
    provider: str | None
    cache: str | None


class Gateway:
    """The public interface of the domain; shared by all requests of an event loop."""

    def __init__(
        self,
        *,
        models: ModelTable,
        gate: ProviderGate,
        keys: KeyDirectory,
        limiter: RateLimiter,
        cache: ResponseCache,
        ledger: Ledger,
        calls_in_flight: CallsInFlight,
        clock: Clock,
        new_call_id: Callable[[], str],
        offload: Offload | None = None,
        response_budget: ResponseBudget | None = None,
        budgets: Budgets | None = None,
        sharing: LoopSharing | None = None,
    ) -> None:
        self.models = models
        self.calls_in_flight = calls_in_flight
        self.started_unix_ms = clock.unix_ms()
        self._gate = gate
        self._keys = keys
        self._limiter = limiter
        self._budgets = budgets
        self._cache = cache
        self._ledger = ledger
        self._clock = clock
        self._new_call_id = new_call_id
        self._response_budget = response_budget or ResponseBudget(max_bytes=room_for(models.largest_response_bytes))
        self.loop_sharing = sharing or LoopSharing(clock.monotonic)
        self._turns = KeyTurns(time.thread_time, self.loop_sharing)
        self._stream_pacing = StreamPacing(self._turns)
        self.offload = offload or Offload()

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

    async def read_request(self, caller: Caller, body: bytes, operation: Operation) -> CallRequest:
        """Read the body of an admitted request; raises `InvalidRequestError`."""
        if len(body) > _BYTES_PER_WEIGHT:
            await self._turn(caller.key_id, len(body) // _BYTES_PER_WEIGHT)
        return await read_request(body, operation, self.offload, owner=caller.key_id)

    async def reserve(
        self, scope: RequestScope, caller: Caller, request: CallRequest, model: Model
    ) -> Reservation | None:
        """Reserve what the call may cost from the caller's budgets; None without any. Raises `BudgetSpentError`."""
        if self._budgets is None or not self._budgets.hold_for(caller):
            return None
        try:
            return await self._budgets.reserve(caller, await largest_cost_nanousd(request, model))
        except BudgetSpentError:
            scope.record(RateLimited(limit_type="budget"))
            raise

    def start_timer(self) -> OverheadTimer:
        """Begin to time a request whose server has not begun."""
        return OverheadTimer(self._clock.monotonic)

    def open_call(
        self,
        scope: RequestScope,
        caller: Caller,
        request: CallRequest,
        timer: OverheadTimer,
        *,
        reservation: Reservation | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> Call:
        """Begin the account of an admitted request; `finalize` settles its reservation."""
        return Call(
            call_id=self._new_call_id(),
            scope=scope,
            caller=caller,
            request=request,
            ledger=self._ledger,
            clock=self._clock,
            room=self._response_budget.share(caller.key_id),
            timer=timer,
            reservation=reservation,
            tags=tags,
        )

    async def respond(self, call: Call, model: Model) -> WholeResponse:
        """Serve a request that is not streamed, from the cache or a provider; the call has ended then."""
        key = self._cache_key(call, model)
        if key is not None:
            kept = await self._cached_response(key, call.request.operation)
            call.scope.record(CacheLookedUp(cache="response", hit=kept is not None))
            if kept is not None:
                call.hit_cache()
                return WholeResponse(kept, None, "hit")
        if not self._turns.take(key_id := call.caller.key_id, _START_WEIGHT):
            await self._turns.wait(key_id, _START_WEIGHT)
        body = await try_providers(
            call, model, self._gate, self._clock, partial(self._take_whole, call), turn=partial(self._turn, key_id)
        )
        call.succeed()
        if key is not None:
            await self._cache.put(key, body, model.cache_ttl_seconds)
        return WholeResponse(body, call.provider, None if key is None else "miss")

    async def open_stream(self, call: Call, model: Model) -> ResponseStream:
        """Find a provider that starts to stream; the call goes on until the stream's end."""

        async def take(response: UpstreamResponse) -> ResponseStream:
            stream = ResponseStream(call, response, self._stream_pacing)
            await stream.prime()
            return stream

        turn = partial(self._turn, call.caller.key_id)
        await turn(_START_WEIGHT)
        return await try_providers(call, model, self._gate, self._clock, take, turn=turn)

    async def finalize(self, call: Call) -> None:
        """Give back what a call that has ended held, and charge its tokens to its caller's limits."""
        call.room.release()
        usage = call.usage
        if call.reservation is not None and self._budgets is not None:
            self._budgets.settle(call.reservation, usage.cost_nanousd)
        tokens = usage.input_tokens + usage.output_tokens
        if tokens:
            await self._limiter.charge_tokens(call.caller, tokens)

    async def close(self) -> None:
        """End what was started for heavy work, and settle what is left."""
        if self._budgets is not None:
            await self._budgets.close()
        await self.offload.close()

    async def _turn(self, key: str, weight: int) -> None:
        """Let a call go on when it is its key's turn: hundreds may have waited for the same row of the database."""
        if not self._turns.take(key, weight):
            await self._turns.wait(key, weight)

    async def _cached_response(self, key: bytes, operation: Operation) -> bytes | None:
        """Return the cached response; None where the value is not a response: others can write to a cache server."""
        kept = await self._cache.get(key)
        if kept is None or self._cache.is_own:
            return kept
        try:
            found = await self.offload.run("responses", "cache", read_response, kept, operation)
        except (UpstreamFailure, OffloadError):
            return None
        return kept if found.failure is None else None

    async def _take_whole(self, call: Call, response: UpstreamResponse) -> bytes:
        """Read a whole response and end its attempt."""
        body = await response.read_all()
        attempt = response.attempt
        # The exchange is over before the body is read: from here on no timeout of the provider runs.
        response.close(whole=True)
        weight = _RESPONSE_WEIGHT + len(body) // _BYTES_PER_WEIGHT
        if not self._turns.take(key_id := call.caller.key_id, weight):
            await self._turns.wait(key_id, weight)
        operation = call.request.operation
        found = read_response(body, operation) if is_light(body) else await self._read_response(body, call)
        attempt.response_id = found.response_id
        attempt.response_model = found.response_model
        attempt.finish_reason = found.finish_reason
        if found.failure is not None:
            if found.usage is not None:
                attempt.count_usage(found.usage, 0, found.choices)
            raise found.failure
        attempt.count_usage(found.usage, found.output_units, found.choices)
        attempt.succeed()
        return body

    async def _read_response(self, body: bytes, call: Call) -> ParsedResponse:
        """Read a response, in another process where it is large."""
        try:
            return await self.offload.run("responses", call.caller.key_id, read_response, body, call.request.operation)
        except OffloadError as error:
            if error.reason == "memory":
                # No response of a model has so many values.
                raise UpstreamFailure("bad_response", http_status=HTTPStatus.OK) from None
            raise OverloadedError(
                "The provider's response could not be read in time.", retry_after_seconds=1.0
            ) from None

    @staticmethod
    def _cache_key(call: Call, model: Model) -> bytes | None:
        """Return the key of a request that the cache may serve; None for every other."""
        request = call.request
        # A text has one embedding, whatever the other fields are.
        if model.cache_ttl_seconds <= 0 or not (
            request.operation == "embeddings"
            or is_deterministic(temperature=request.number("temperature"), n=request.number("n"), stream=request.stream)
        ):
            return None
        key_id = call.caller.key_id
        if len(request.body) <= MAX_CANONICAL_BYTES:
            # JSON that can be passed on but has no canonical form (a lone surrogate) is compared as it was written.
            with contextlib.suppress(ValueError, ArithmeticError, RecursionError):
                return cache_key(key_id=key_id, model=model.name, body=request.body)
        return literal_cache_key(key_id=key_id, model=model.name, fields=request.fields)


class LimitReachedError(RateLimitedError):
    """A refusal of the limiter; `decision` fills the rate-limit headers."""

    def __init__(self, decision: LimitDecision) -> None:
        kind = decision.limit_type or "key_requests"
        super().__init__(
            f"Rate limit reached: {kind.replace('_', ' ')} per minute. Retry after the time that Retry-After gives.",
            limit_type=kind,
            retry_after_seconds=decision.retry_after_seconds,
        )
        self.decision = decision
