"""FAIL-OVER: tries the providers of a model in order until one answers.

Comes in: a call, a model, and what to make of a 200 answer. Goes out: what was made of the first good one, or the error that the caller
gets. It ends before the first byte reaches the client: what goes wrong later is not its business.
"""

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from app.errors import GatewayError, UpstreamFailedError, UpstreamRateLimitedError, UpstreamTimeoutError
from app.gateway.call import Call
from app.gateway.model_table import Model, Route
from app.gateway.ports import Clock
from app.gateway.upstream_answer import UpstreamAnswer
from app.gateway.upstream_failure import DEFAULT_RETRY_AFTER_SECONDS, CallerFaultError, UpstreamFailure
from otel.events import RateLimited

T = TypeVar("T")

_TIMEOUTS: Final = frozenset({"connect_timeout", "first_byte_timeout", "idle_timeout"})


async def first_answer(call: Call, model: Model, clock: Clock, take: Callable[[UpstreamAnswer], Awaitable[T]]) -> T:
    """Return what `take` makes of the first answer that it accepts.

    Raises what `_error_of` says when no provider is left, and `CallerFaultError` as soon as one provider blames the request. On either, and
    on success, every attempt has ended; the call has ended on the errors only.
    """
    failures: list[UpstreamFailure] = []
    for route in model.routes:
        answer = await _attempt(call, route, clock, take, failures)
        if answer is None and failures[-1].connection_was_reused:
            # The connection had been idle and the provider closed it under our hands. A second attempt, counted as such,
            # goes over a fresh one.
            answer = await _attempt(call, route, clock, take, failures)
        if answer is not None:
            return answer
    error = _error_of(failures)
    if isinstance(error, UpstreamRateLimitedError):
        call.scope.record(RateLimited(limit_type="upstream"))
    call.fail(failures[-1].kind if failures else "internal")
    raise error


def _error_of(failures: list[UpstreamFailure]) -> GatewayError:
    """Return the caller's error for the failures of all providers: 429 if each was rate limited, else by the last one."""
    if failures and all(failure.kind == "rate_limited" for failure in failures):
        waits = [failure.retry_after_seconds or DEFAULT_RETRY_AFTER_SECONDS for failure in failures]
        return UpstreamRateLimitedError(
            "Every provider of the model is rate limited.", limit_type="upstream", retry_after_seconds=min(waits)
        )
    if failures and failures[-1].kind in _TIMEOUTS:
        return UpstreamTimeoutError("No provider of the model answered in time.")
    return UpstreamFailedError("No provider of the model could answer.")


async def _attempt(
    call: Call,
    route: Route,
    clock: Clock,
    take: Callable[[UpstreamAnswer], Awaitable[T]],
    failures: list[UpstreamFailure],
) -> T | None:
    """Make one attempt; None, and one more failure, where the next provider should be tried."""
    attempt = call.start_attempt(route)
    answer = UpstreamAnswer(attempt, clock)
    try:
        with answer.guarded():
            await answer.open(call.request)
            return await take(answer)
    except UpstreamFailure as failure:
        answer.close()
        attempt.fail(failure)
        failures.append(failure)
        return None
    except CallerFaultError as fault:
        answer.close()
        attempt.fail(fault)
        call.fail("upstream_4xx")
        raise
    except BaseException:
        # The call ends the attempt; the provider must learn at once that nobody listens any more.
        answer.close()
        raise
