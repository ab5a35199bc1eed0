"""Failover: tries the targets of a model in order until one responds, and skips those whose circuit is open.

Input: a call, a model, and what to make of a 2xx response. Output: what was made of the first good
one, or the error that the caller gets. It ends before the first byte reaches the client; later failures are handled by `stream_relay.py`.
"""

from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple, TypeVar

from app.errors import ProvidersUnavailableError, UpstreamRateLimitedError
from app.gateway.call import Call
from app.gateway.exchange import UpstreamResponse
from app.gateway.models import Model, Route
from app.gateway.openai.caller_error import error_of_failures
from app.gateway.openai.failures import CallerFaultError, UpstreamFailure, caller_fault_of
from app.gateway.openai.stream_options import FIELD_REFUSED, blames_stream_options_inside, writes_stream_options
from app.gateway.ports import Clock, ProviderGate
from app.gateway.tracebacks import drop_tracebacks
from otel.events import RateLimited

T = TypeVar("T")

_MAX_ATTEMPTS_PER_ROUTE: Final = 3


async def try_providers(
    call: Call,
    model: Model,
    gate: ProviderGate,
    clock: Clock,
    take: Callable[[UpstreamResponse], Awaitable[T]],
    *,
    turn: Callable[[int], Awaitable[None]],
) -> T:
    """Return what `take` makes of the first response that it accepts; a refusal waits for its `turn` by its weight.

    Raises what `error_of_failures` returns when no provider is left, and `CallerFaultError` as soon
    as one provider blames the request. On either, and on success, every attempt has ended; the call
    has ended on the errors only.
    """
    failures: list[UpstreamFailure] = []
    failover = _Failover(call, gate, clock, failures, turn)
    for route in model.routes:
        response = await _try_target(failover, route, take)
        if response is not None:
            return response
    if not failures:
        raise _none_admitted(call, model, gate)
    error = error_of_failures(failures)
    if isinstance(error, UpstreamRateLimitedError):
        call.scope.record(RateLimited(limit_type="upstream"))
    call.fail(failures[-1].kind)
    raise error


class _Failover(NamedTuple):
    """What all attempts of one call share."""

    call: Call
    gate: ProviderGate
    clock: Clock
    failures: list[UpstreamFailure]
    turn: Callable[[int], Awaitable[None]]


async def _try_target(failover: _Failover, route: Route, take: Callable[[UpstreamResponse], Awaitable[T]]) -> T | None:
    """Try one target; once more over a fresh connection where a pooled one was dead, and once more without what the gateway had added."""
    must_be_fresh = refused_field = False
    for _ in range(_MAX_ATTEMPTS_PER_ROUTE):
        permit = failover.gate.admit(route.provider.name, route.upstream_model)
        if permit is None:
            return None
        attempt = failover.call.start_attempt(route, permit)
        upstream = UpstreamResponse(attempt, failover.clock, failover.call.room, failover.turn)
        upstream.must_be_fresh = must_be_fresh
        upstream.leaves_out_added_fields = refused_field
        response = await _attempt(failover.call, upstream, take, failover.failures)
        if response is not None:
            if refused_field and not writes_stream_options(failover.call.request):
                route.provider.remember_refusal(route.upstream_model)
            return response
        failure = failover.failures[-1]
        if failure.retry_after_seconds is not None:
            permit.pause(failure.retry_after_seconds)
        if failure.connection_was_reused and not must_be_fresh:
            must_be_fresh = True
        elif failure.kind == "field_refused" and not refused_field:
            refused_field = True
        else:
            break
    return None


def _none_admitted(
    call: Call, model: Model, gate: ProviderGate
) -> ProvidersUnavailableError | UpstreamRateLimitedError:
    """End a call none of whose targets admits an attempt now; return the caller's error."""
    blocked = gate.blocked((route.provider.name, route.upstream_model) for route in model.routes)
    if blocked.is_rate_limited:
        call.scope.record(RateLimited(limit_type="upstream"))
        call.fail("rate_limited")
        return UpstreamRateLimitedError(
            "Every provider of the model is rate limited. Retry after the time that Retry-After gives.",
            limit_type="upstream",
            retry_after_seconds=blocked.retry_after_seconds,
        )
    call.fail("providers_unavailable")
    return ProvidersUnavailableError(
        "Every provider of the model is failing and skipped for a while. Retry after the time that Retry-After gives.",
        retry_after_seconds=blocked.retry_after_seconds,
    )


async def _attempt(
    call: Call,
    response: UpstreamResponse,
    take: Callable[[UpstreamResponse], Awaitable[T]],
    failures: list[UpstreamFailure],
) -> T | None:
    """Make one attempt; None, and one more failure, where the next one should be made."""
    try:
        with response.guarded():
            await response.open(call.request)
            return await take(response)
    except UpstreamFailure as failure:
        if failure.kind == "total_timeout":
            # All that came until the very end were signs of life.
            failure.kind = "first_byte_timeout"
        if response.has_added_fields and blames_stream_options_inside(failure, call.request):
            failure.kind, failure.reason = "field_refused", FIELD_REFUSED
        fault = caller_fault_of(failure, response.attempt.route.provider.scrub)
        response.close()
        response.attempt.fail(fault or failure)
        if fault is not None:
            call.fail(fault.kind)
            raise fault from None
        drop_tracebacks(failure)
        failures.append(failure)
        return None
    except CallerFaultError as fault:
        response.close()
        response.attempt.fail(fault)
        call.fail(fault.kind)
        raise
    except BaseException:
        # The call ends the attempt; closing stops the provider's work at once.
        response.close()
        raise
