"""SEEN: what became of a request whose outcome a circuit breaker had a say in.

Comes in: a plan with possible attempts, and what the client saw. Goes out: the plan with the one
attempt that the client can know of: the one that answered. Failed attempts before it are in the
upstream's books, and are compared with those. What no breaker explains stays as planned, and is a
surprise.
"""

from typing import Final

import msgspec

from demo.traffic.plan import Observed, Planned

_OK: Final = 200
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


def as_seen(planned: Planned, observed: Observed) -> Planned:
    """Return the plan that explains what was seen; the same where there is nothing to explain."""
    if not planned.possible:
        return planned
    if observed.status_code == _OK:
        answered = tuple(
            attempt
            for attempt in planned.possible
            if attempt.provider == observed.provider and attempt.status == "success"
        )
        return msgspec.structs.replace(planned, attempts=answered)
    if observed.status_code == _BAD_GATEWAY and any(attempt.status == "error" for attempt in planned.possible):
        return msgspec.structs.replace(planned, status_code=_BAD_GATEWAY, exception_type="UpstreamFailedError")
    if observed.status_code == _UNAVAILABLE:
        return msgspec.structs.replace(planned, status_code=_UNAVAILABLE, exception_type="ProvidersUnavailableError")
    return planned
