"""The breaker, the availability and the health of one provider, kept consistent with each other.

Input: attempts, probe results, the passage of time. Output: permits for attempts, and what the
gauges show. A transition of the breaker is one event for telemetry, one log line, and a change of
the availability.
"""

import logging
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from app.config.schema import BreakerConfig, ProviderConfig
from app.gateway.fault import Scope, fault_of
from app.gateway.ports import AttemptObserver, Clock
from app.gateway.quota_headers import Quotas
from app.providers.attempt_window import AttemptWindow
from app.providers.attempt_windows import AttemptWindows
from app.providers.availability import Availability
from app.providers.breaker import BreakerState, CallResult, CircuitBreaker, Phase, Transition
from app.providers.health_score import health_score
from app.providers.target_state import TargetState
from otel.events import AttemptFinished, BreakerChanged, Recorder

_LOGGER: Final = logging.getLogger("gatewayz.breaker")
_PROBE_LOGGER: Final = logging.getLogger("gatewayz.providers")


class ProbeReading(msgspec.Struct, frozen=True):
    """The finding of the last conclusive probe, and when, on the clock's monotonic time."""

    available: bool
    at_seconds: float


class ProviderState:
    """One provider, for one event loop; the properties named after gauges are safe from any thread."""

    def __init__(
        self,
        provider: ProviderConfig,
        breaker: BreakerConfig,
        *,
        upstream_models: Iterable[str],
        windows: AttemptWindows,
        observers: Sequence[AttemptObserver],
        evidence_seconds: float,
        clock: Clock,
        recorder: Recorder,
    ) -> None:
        self.name = provider.name
        self._config = provider
        self._clock = clock
        self._recorder = recorder
        self._observers = observers
        self._has_logged_observer = False
        self._evidence_seconds = evidence_seconds
        self._probe: ProbeReading | None = None
        self._window: AttemptWindow = windows.of_provider(provider.name)
        self._availability = Availability(evidence_seconds)
        self.breaker = CircuitBreaker(breaker, clock.monotonic(), self._breaker_changed)
        self.targets = {
            name: TargetState(provider.name, name, breaker, clock) for name in dict.fromkeys(upstream_models)
        }

    def admit(self, upstream_model: str) -> "AttemptPermit | None":
        """Return the permit for one attempt, or None while the provider or this model is skipped."""
        target = self.targets[upstream_model]
        now_seconds = self._clock.monotonic()
        if target.paused_seconds() > 0:
            return None
        provider_phase = self.breaker.admit(now_seconds)
        if provider_phase is None:
            return None
        target_phase = target.breaker.admit(now_seconds)
        if target_phase is None:
            self.breaker.call_ended(provider_phase, now_seconds, "neutral")
            return None
        return AttemptPermit(self, provider_phase, target, target_phase, self._clock)

    def notify_observers(self, model: str, event: AttemptFinished, now_seconds: float) -> None:
        """Pass the completion of an attempt on. An observer that raises affects neither the request nor the others."""
        for observer in self._observers:
            try:
                observer.attempt_finished(self.name, model, event, now_seconds)
            except Exception:
                if not self._has_logged_observer:
                    self._has_logged_observer = True
                    _LOGGER.exception("an attempt could not be observed; later failures are not logged")

    def probed(self, *, available: bool, reason: str | None = None) -> None:
        """Record what a probe found; a change is logged, once. `reason` is why it found the provider unavailable."""
        now_seconds = self._clock.monotonic()
        was_available = True if self._probe is None else self._probe.available
        self._probe = ProbeReading(available, now_seconds)
        self._availability.found(now_seconds, available=available)
        if available != was_available:
            self._log_probe(available=available, reason=reason)

    def advance(self) -> None:
        """Make the transitions that are due by time, so that they are counted without any traffic."""
        now_seconds = self._clock.monotonic()
        self.breaker.advance(now_seconds)
        for target in self.targets.values():
            target.breaker.advance(now_seconds)

    @property
    def breaker_state(self) -> BreakerState:
        """The state that the circuit breaker is in."""
        return self.breaker.state(self._clock.monotonic())

    @property
    def fresh_probe(self) -> ProbeReading | None:
        """The last conclusive probe, as long as its finding is valid; None where nothing is known."""
        probe = self._probe
        if probe is None or self._clock.monotonic() - probe.at_seconds >= self._evidence_seconds:
            return None
        return probe

    def seconds_since(self, probe: ProbeReading) -> float:
        """How long ago a probe was made."""
        return self._clock.monotonic() - probe.at_seconds

    @property
    def has_succeeded(self) -> bool:
        """Whether an attempt of the last 5 minutes succeeded."""
        counts = self._window.counts(self._clock.monotonic())
        return counts.attempts > counts.failures

    @property
    def availability(self) -> float | None:
        """Share of the last 5 minutes in which it was available; None where nothing is known."""
        return self._availability.share(self._clock.monotonic())

    @property
    def error_rate(self) -> float | None:
        """Failed share of the attempts of the last 5 minutes; None without attempts."""
        return self._window.counts(self._clock.monotonic()).error_rate

    @property
    def health(self) -> float | None:
        """The health score; None where nothing is known."""
        now_seconds = self._clock.monotonic()
        return health_score(
            self._availability.share(now_seconds),
            self._window.counts(now_seconds),
            target_seconds=self._config.latency_target_seconds,
            limit_seconds=self._config.latency_limit_seconds,
        )

    def _log_probe(self, *, available: bool, reason: str | None) -> None:
        found = "is available again" if available else f"is unavailable: {reason or 'it does not respond'}"
        _PROBE_LOGGER.log(
            logging.INFO if available else logging.WARNING,
            "provider %s %s (probe)",
            self.name,
            found,
            extra={"provider": self.name, "available": available},
        )

    def _breaker_changed(self, transition: Transition) -> None:
        if transition.state == "open":
            self._availability.block(transition.at_seconds)
        elif transition.state == "half_open":
            self._availability.unblock(transition.at_seconds)
        else:
            self._availability.found(transition.at_seconds, available=True)
        self._recorder.record(BreakerChanged(provider=self.name, state=transition.state))
        _LOGGER.log(
            logging.WARNING if transition.state == "open" else logging.INFO,
            "circuit breaker of %s is %s: %s",
            self.name,
            transition.state,
            transition.reason,
            extra={"provider": self.name, "state": transition.state, "open_seconds": transition.open_seconds or None},
        )


class AttemptPermit:
    """The right to one attempt at a provider's model; its completion reaches both breakers exactly once."""

    __slots__ = ("_clock", "_finished", "_provider", "_provider_phase", "_target", "_target_phase")

    def __init__(
        self, provider: ProviderState, provider_phase: Phase, target: TargetState, target_phase: Phase, clock: Clock
    ) -> None:
        self._provider = provider
        self._provider_phase = provider_phase
        self._target = target
        self._target_phase = target_phase
        self._clock = clock
        self._finished = False

    def report_quotas(self, quotas: Quotas) -> None:
        """Store what is left of the quotas of this model."""
        self._target.report_quotas(quotas)

    def pause(self, seconds: float) -> None:
        """Skip the target for so long."""
        self._target.pause(seconds)

    def content_arrived(self) -> None:
        """Let both breakers close, where this is a trial."""
        if self._finished:
            return
        now_seconds = self._clock.monotonic()
        self._provider_phase = self._provider.breaker.call_responded(self._provider_phase, now_seconds)
        self._target_phase = self._target.breaker.call_responded(self._target_phase, now_seconds)

    def attempt_finished(self, model: str, event: AttemptFinished) -> None:
        """Count the attempt's completion; a second call changes nothing."""
        if self._finished:
            return
        self._finished = True
        now_seconds = self._clock.monotonic()
        self._provider.breaker.call_ended(self._provider_phase, now_seconds, _result_of(event, "provider"))
        self._target.breaker.call_ended(self._target_phase, now_seconds, _result_of(event, "model"))
        self._provider.notify_observers(model, event, now_seconds)


def _result_of(event: AttemptFinished, scope: Scope) -> CallResult:
    """Return how an attempt counts in the breaker of a scope: a failure of another scope is neutral."""
    if event.status == "success":
        return "success"
    if event.error_kind is None or event.connection_was_stale or fault_of(event.error_kind).scope != scope:
        return "neutral"
    return "failure"
