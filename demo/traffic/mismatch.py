"""Compares what a client observed of a request with its plan.

A mismatch is one line of text. A single mismatch fails the run: the counters rely on the plan.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from demo.traffic.plan import Observed, Planned

_OK: Final = 200
_TOO_MANY: Final = 429
_BAD_GATEWAY: Final = 502
_UNAVAILABLE: Final = 503


def is_slow_lookup(observed: Observed) -> bool:
    """Whether the gateway refused the request because its database did not find the key in time."""
    return observed.status_code == _UNAVAILABLE and observed.error_code == "store_unavailable"


def without_key(planned: Planned) -> Planned:
    """Return the plan of a request that ended at the lookup of its key."""
    return msgspec.structs.replace(
        planned,
        status_code=_UNAVAILABLE,
        exception_type="StoreUnavailableError",
        model=None,
        attempts=(),
        possible=(),
        limited=None,
        leaving="stays",
    )


def as_observed(planned: Planned, observed: Observed) -> Planned:
    """Return the plan with the one attempt that the client can know of: the one that responded.

    Failed attempts before it are in the upstream's counters. A plan without possible attempts, or one that no circuit
    breaker explains, is returned unchanged.
    """
    if not planned.possible:
        return planned
    if observed.status_code == _OK:
        succeeded = tuple(
            attempt
            for attempt in planned.possible
            if attempt.provider == observed.provider and attempt.status == "success"
        )
        return msgspec.structs.replace(planned, attempts=succeeded)
    if observed.status_code == _BAD_GATEWAY and any(attempt.status == "error" for attempt in planned.possible):
        return msgspec.structs.replace(planned, status_code=_BAD_GATEWAY, exception_type="UpstreamFailedError")
    if observed.status_code == _UNAVAILABLE:
        return msgspec.structs.replace(planned, status_code=_UNAVAILABLE, exception_type="ProvidersUnavailableError")
    return planned


def mismatch_in(planned: Planned, observed: Observed) -> str | None:
    """Return the first mismatch."""
    return next(_mismatches(planned, observed), None)


def _mismatches(planned: Planned, observed: Observed) -> Iterator[str]:
    if observed.failure is not None:
        yield observed.failure
    expected = None if planned.leaving == "before_first_byte" else planned.status_code
    allowed = {expected, _TOO_MANY} if planned.limited is not None else {expected}
    if observed.status_code not in allowed:
        yield f"status {observed.status_code} instead of {expected}"
    if observed.status_code == _OK and planned.model is not None:
        yield from _in_response(planned, observed)


def _in_response(planned: Planned, observed: Observed) -> Iterator[str]:
    provider = planned.attempts[-1].provider if planned.attempts else None
    if observed.provider != provider:
        yield f"answered by {observed.provider} instead of {provider}"
    if observed.cache != planned.cache:
        yield f"cache says {observed.cache} instead of {planned.cache}"
    if observed.ended_in_error != planned.ends_in_error:
        yield "the stream ended " + ("in an error" if observed.ended_in_error else "without its error")
    if observed.is_whole != (planned.leaving == "stays" and not planned.ends_in_error):
        yield "the response is whole" if observed.is_whole else "the response is not whole"
    yield from _in_usage(planned, observed)


def _in_usage(planned: Planned, observed: Observed) -> Iterator[str]:
    """Check that the reported usage is the provider's own."""
    if not planned.attempts:
        return
    last = planned.attempts[-1]
    if last.tokens == "answer" and observed.usage is None:
        yield "the response reports no usage"
    if last.tokens == "reported" and observed.usage not in {None, (last.input_tokens, last.output_tokens)}:
        yield f"the response reports {observed.usage} tokens instead of {(last.input_tokens, last.output_tokens)}"
    if last.tokens == "delivered" and observed.usage is not None:
        yield f"the response reports {observed.usage} tokens, and the provider reported none"
