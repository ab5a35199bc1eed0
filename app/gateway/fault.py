"""The one table that decides whose fault a failed attempt is, and what it may change.

Input: an `ErrorKind`. Output: the fault domain, the scope that fails (the provider, or one of its
models), and whether the provider's state moves: only faults of the provider and of the network move
it. docs/gateway.md shows the same table.
"""

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

import msgspec

from otel.events import ErrorKind, FaultDomain

Scope: TypeAlias = Literal["provider", "model", "none"]
"""What fails: everything at the provider, one model at it, or neither."""


class Fault(msgspec.Struct, frozen=True):
    """Whose fault a kind of failure is. `scope` names the circuit breaker that counts it."""

    domain: FaultDomain
    scope: Scope

    @property
    def moves_provider_state(self) -> bool:
        """Whether it counts in the provider's error rate, health and anomalies."""
        return self.domain in {"provider", "network"}


FAULTS: Final[Mapping[ErrorKind, Fault]] = {
    "connect_error": Fault("network", "provider"),
    "connect_timeout": Fault("network", "provider"),
    "first_byte_timeout": Fault("provider", "model"),
    "whole_answer_timeout": Fault("provider", "model"),
    "idle_timeout": Fault("provider", "model"),
    # The provider was sending until the gateway's own limit; how long a response is, the caller decides.
    "total_timeout": Fault("policy", "none"),
    # The provider works; its limits on the gateway's account decide, and `Retry-After` gives for how long.
    "rate_limited": Fault("policy", "model"),
    "upstream_4xx": Fault("caller", "none"),
    "content_policy": Fault("policy", "none"),
    # Smaller requests are served.
    "size_refused": Fault("caller", "none"),
    # Requests of the usual tier are served.
    "tier_unavailable": Fault("policy", "none"),
    "upstream_5xx": Fault("provider", "provider"),
    "upstream_auth": Fault("provider", "provider"),
    "upstream_quota": Fault("provider", "provider"),
    "model_unavailable": Fault("provider", "model"),
    "bad_response": Fault("provider", "model"),
    "stream_broken": Fault("provider", "provider"),
    "slow_client": Fault("caller", "none"),
    "pool_timeout": Fault("gateway", "none"),
    "gateway_resources": Fault("gateway", "none"),
    "field_refused": Fault("gateway", "none"),
}
"""Every kind, in exactly one domain."""

CALLER_KINDS: Final = frozenset(
    {"upstream_4xx", "content_policy", "size_refused", "tier_unavailable", "slow_client", "total_timeout"}
)
"""The kinds that a caller alone can cause: they make no model unavailable, however often they happen."""

TIMEOUTS: Final = frozenset(
    {"connect_timeout", "first_byte_timeout", "whole_answer_timeout", "idle_timeout", "total_timeout"}
)
"""The kinds for which the caller gets a 504."""


def fault_of(kind: ErrorKind) -> Fault:
    """Return whose fault a kind of failure is."""
    return FAULTS[kind]
