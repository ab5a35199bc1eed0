"""The numbers behind the beginning of a signal, for the log line and the span event."""

from typing import Literal, TypeAlias

import msgspec

AnomalyType: TypeAlias = Literal["latency_spike", "error_surge", "unusual_pattern"]
ScopeKind: TypeAlias = Literal["provider", "model", "gateway"]
Signal: TypeAlias = Literal["slowdown", "errors", "input_tokens", "output_tokens", "traffic"]

TYPE_OF: dict[Signal, AnomalyType] = {
    "slowdown": "latency_spike",
    "errors": "error_surge",
    "input_tokens": "unusual_pattern",
    "output_tokens": "unusual_pattern",
    "traffic": "unusual_pattern",
}


class Scope(msgspec.Struct, frozen=True, array_like=True, order=True):
    """One provider, one model, or the whole gateway (whose name is `all`)."""

    kind: ScopeKind
    name: str


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """One signal of one scope at the moment it fired.

    `slowdown`: times the expected duration. `errors`: failed share, 0 to 1. `*_tokens`: tokens per attempt (geometric mean).
    `traffic`: attempts per minute. `value` and `threshold` are in that unit, as is `baseline`; `spread` is one standard deviation: a factor,
    but for errors a share. `samples` attempts in the last `minutes`. `deviation` is the distance in spreads.
    """

    scope: Scope
    signal: Signal
    value: float
    baseline: float
    spread: float
    threshold: float
    samples: int
    minutes: int
    deviation: float
