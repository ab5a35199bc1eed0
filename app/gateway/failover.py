"""FAIL-OVER: tries the providers of a model in order until one answers, and passes over those that are left alone.

Comes in: a call, a model, and what to make of a 200 answer. Goes out: what was made of the first good one, or the error that the caller
gets. It ends before the first byte reaches the client: what goes wrong later is not its business.
"""

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from app.errors import (
    GatewayError,
    ProvidersUnavailableError,
    UpstreamFailedError,
    UpstreamRateLimitedError,
    UpstreamTimeoutError,
)
from app.gateway.call import Call
from app.gateway.model_table import Model
from app.gateway.ports import Clock, ProviderGate
from app.gateway.upstream_answer import UpstreamAnswer
from app.gateway.upstream_failure import DEFAULT_RETRY_AFTER_SECONDS, CallerFaultError, UpstreamFailure
from otel.events import RateLimited

T = TypeVar("T")

_TIMEOUTS: Final = frozenset({"connect_timeout", "first_byte_timeout", "idle_timeout"})


async def first_answer(
    call: Call, model: Model, gate: ProviderGate, clock: Clock, take: Callable[[UpstreamAnswer], Awaitable[T]]
) -> T:
    """Return what `take` makes of the first answer that it accepts.

    Raises what `_error_of` says when no provider is left, and `CallerFaultError` as soon as one provider blames the request. On either, and
    on success, every attempt has ended; the call has ended on the errors only.
    """
    failures: list[UpstreamFailure] = []
    for route in model.routes:
        permit = gate.admit(route.provider.name)
        if permit is None:
            continue
        answer = await _attempt(call, UpstreamAnswer(call.start_attempt(route, permit), clock), take, failures)
        if answer is None and failures[-1].connection_was_reused and (permit := gate.admit(route.provider.name)):
            # The connection had been idle and the provider closed it under our hands. A second attempt, counted as such,
            # goes over a fresh one.
            answer = await _attempt(call, UpstreamAnswer(call.start_attempt(route, permit), clock), take, failures)
        if answer is not None:
            return answer
    if not failures:
        call.fail("providers_unavailable")
        raise ProvidersUnavailableError(
            "Every provider of the model is failing and left alone for a while. Retry after the time that Retry-After gives.",
            retry_after_seconds=gate.retry_after_seconds(route.provider.name for route in model.routes),
        )
    error = _error_of(failures)
    if isinstance(error, UpstreamRateLimitedError):
        call.scope.record(RateLimited(limit_type="upstream"))
    call.fail(failures[-1].kind)
    raise error


def _error_of(failures: list[UpstreamFailure]) -> GatewayError:
    """Return the caller's error for the failures of all that were asked: 429 if each was rate limited, else by the last one."""
    if all(failure.kind == "rate_limited" for failure in failures):
        waits = [failure.retry_after_seconds or DEFAULT_RETRY_AFTER_SECONDS for failure in failures]
        return UpstreamRateLimitedError(
            "Every provider of the model is rate limited.", limit_type="upstream", retry_after_seconds=min(waits)
        )
    if failures[-1].kind in _TIMEOUTS:
        return UpstreamTimeoutError("No provider of the model answered in time.")
    return UpstreamFailedError("No provider of the model could answer.")


async def _attempt(
    call: Call, answer: UpstreamAnswer, take: Callable[[UpstreamAnswer], Awaitable[T]], failures: list[UpstreamFailure]
) -> T | None:
    """Make one attempt; None, and one more failure, where the next provider should be tried."""
    try:
        with answer.guarded():
            await answer.open(call.request)
            return await take(answer)
    except UpstreamFailure as failure:
        answer.close()
        answer.attempt.fail(failure)
        failures.append(failure)
        return None
    except CallerFaultError as fault:
        answer.close()
        answer.attempt.fail(fault)
        call.fail("upstream_4xx")
        raise
    except BaseException:
        # The call ends the attempt; the provider must learn at once that nobody listens any more.
        answer.close()
        raise
