"""The state of one target (a provider's model): its circuit breaker, and the pause that a rate limit requires.

Input: attempts at this model, the passage of time. Output: whether it may be called. Failures of
one model are no evidence about the provider's other models.
"""

import logging
from collections.abc import Mapping
from typing import Final

from app.config.schema import BreakerConfig
from app.gateway.ports import Clock
from app.gateway.quota_headers import Quota, QuotaKind, Quotas
from app.providers.breaker import BreakerState, CircuitBreaker, Transition

_LOGGER: Final = logging.getLogger("gatewayz.breaker")
_QUOTA_SECONDS: Final = 300.0
"""Most quotas are per minute: an older value is of an earlier period."""


class TargetState:
    """One target, for one event loop; `breaker_state` and `quotas` are safe from any thread."""

    def __init__(self, provider: str, upstream_model: str, breaker: BreakerConfig, clock: Clock) -> None:
        self._provider = provider
        self._upstream_model = upstream_model
        self._config = breaker
        self._clock = clock
        self._paused_until_seconds = float("-inf")
        self._quotas: Mapping[QuotaKind, tuple[Quota, float]] = {}
        self.breaker = CircuitBreaker(breaker, clock.monotonic(), self._breaker_changed)

    @property
    def breaker_state(self) -> BreakerState:
        """The state that the circuit breaker is in."""
        return self.breaker.state(self._clock.monotonic())

    @property
    def quotas(self) -> dict[QuotaKind, Quota]:
        """What is left, as the provider last reported it within 5 minutes."""
        oldest_seconds = self._clock.monotonic() - _QUOTA_SECONDS
        return {kind: quota for kind, (quota, at_seconds) in self._quotas.items() if at_seconds >= oldest_seconds}

    def report_quotas(self, quotas: Quotas) -> None:
        """Store what the provider reports to be left; a kind that it omits stays as it was."""
        now_seconds = self._clock.monotonic()
        # Replaced, not changed: another thread may read the old one.
        self._quotas = {**self._quotas, **{kind: (quota, now_seconds) for kind, quota in quotas.items()}}

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
