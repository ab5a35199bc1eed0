"""The state of one target (a provider's model): its circuit breaker, and the pause that a rate limit requires.

Input: attempts at this model, the passage of time. Output: whether it may be called. Failures of
one model are no evidence about the provider's other models.
"""

import logging
from typing import Final

from app.config.schema import BreakerConfig
from app.gateway.ports import Clock
from app.providers.breaker import BreakerState, CircuitBreaker, Transition

_LOGGER: Final = logging.getLogger("gatewayz.breaker")


class TargetState:
    """One target, for one event loop; `breaker_state` is safe from any thread."""

    def __init__(self, provider: str, upstream_model: str, breaker: BreakerConfig, clock: Clock) -> None:
        self._provider = provider
        self._upstream_model = upstream_model
        self._config = breaker
        self._clock = clock
        self._paused_until_seconds = float("-inf")
        self.breaker = CircuitBreaker(breaker, clock.monotonic(), self._breaker_changed)

    @property
    def breaker_state(self) -> BreakerState:
        """The state that the circuit breaker is in."""
        return self.breaker.state(self._clock.monotonic())

    def pause(self, seconds: float) -> None:
        """Skip the target for so long, within bounds; a shorter pause does not end a longer one."""
        if self._config.enabled:
            until_seconds = self._clock.monotonic() + min(seconds, self._config.max_pause_seconds)
            self._paused_until_seconds = max(self._paused_until_seconds, until_seconds)

    def paused_seconds(self) -> float:
        """Return for how long a rate limit still requires a pause; 0 where none does."""
        return max(0.0, self._paused_until_seconds - self._clock.monotonic())

    def _breaker_changed(self, transition: Transition) -> None:
        _LOGGER.log(
            logging.WARNING if transition.state == "open" else logging.INFO,
            "circuit breaker of %s at %s is %s: %s",
            self._upstream_model,
            self._provider,
            transition.state,
            transition.reason,
            extra={
                "provider": self._provider,
                "upstream_model": self._upstream_model,
                "state": transition.state,
                "open_seconds": transition.open_seconds or None,
            },
        )
