"""What `/health/ready` reports of a provider: its breaker, its last probe, and the status that follows from both."""

from collections.abc import Mapping
from typing import Literal, TypeAlias

from app.providers.provider import ProviderState

ProviderStatus: TypeAlias = Literal["up", "down", "recovering", "unknown"]


def provider_reading(state: ProviderState) -> Mapping[str, object]:
    """Return the status of a provider and what it is derived from. `probe` is None while no probe's finding is fresh."""
    probe = state.fresh_probe
    return {
        "status": provider_status(state),
        "circuit_breaker": state.breaker_state,
        "probe": None
        if probe is None
        else {
            "found": "up" if probe.available else "down",
            "seconds_ago": round(state.seconds_since(probe), 1),
        },
    }


def provider_status(state: ProviderState) -> ProviderStatus:
    """Return the status: the breaker's where it is not closed, else the probe's, else what calls have shown."""
    if state.breaker_state != "closed":
        return "down" if state.breaker_state == "open" else "recovering"
    if state.fresh_probe is not None:
        return "up" if state.fresh_probe.available else "down"
    return "up" if state.has_succeeded else "unknown"
