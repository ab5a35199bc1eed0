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
from app.providers.attempt_window import AttemptWindow
from app.providers.attempt_windows import AttemptWindows
from app.providers.availability import Availability
from app.providers.breaker import BreakerState, CallPermit, CallResult, CircuitBreaker, Transition
from app.providers.health_score import health_score
from app.providers.target_state import TargetState
from otel.events import AttemptFinished, BreakerChanged, Recorder

_LOGGER: Final = logging.getLogger("gatewayz.breaker")
_PROBE_LOGGER: Final = logging.getLogger("gatewayz.providers")


class ProbeReading(msgspec.Struct, frozen=True):
    """What the last probe that found something found, and when, on the clock's monotonic time."""

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
        """Return the permit for one attempt, or None while the provider or this model of its is skipped."""
        target = self.targets[upstream_model]
        now_seconds = self._clock.monotonic()
        if target.paused_seconds() > 0:
            return None
        permit = self.breaker.admit(now_seconds)
        if permit is None:
            return None
        of_target = target.breaker.admit(now_seconds)
        if of_target is None:
            permit.end(now_seconds, "neutral")
            return None
        return AttemptPermit(self, permit, target, of_target)

    def attempt_answers(self, permit: CallPermit, of_target: CallPermit) -> None:
        """Take in that an attempt gets content."""
        now_seconds = self._clock.monotonic()
        permit.answers(now_seconds)
        of_target.answers(now_seconds)

    def attempt_finished(self, permit: CallPermit, of_target: CallPermit, model: str, event: AttemptFinished) -> None:
        """Take in the completion of an attempt. An observer that raises costs neither the request nor the other observers anything."""
        now_seconds = self._clock.monotonic()
        permit.end(now_seconds, _result_of(event, "provider"))
        of_target.end(now_seconds, _result_of(event, "model"))
        for observer in self._observers:
            try:
                observer.attempt_finished(self.name, model, event, now_seconds)
            except Exception:
                if not self._has_logged_observer:
                    self._has_logged_observer = True
                    _LOGGER.exception("an attempt could not be observed; later failures are not logged")

    def probed(self, *, available: bool, reason: str | None = None) -> None:
        """Record what a probe found; a change is logged, once. `reason` tells why it found the provider unavailable."""
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
        """The last probe that found something, as long as its finding stands; None where nothing is known."""
        probe = self._probe
        if probe is None or self._clock.monotonic() - probe.at_seconds >= self._evidence_seconds:
            return None
        return probe

    def seconds_since(self, probe: ProbeReading) -> float:
        """How long ago a probe found what it found."""
        return self._clock.monotonic() - probe.at_seconds

    @property
    def has_succeeded(self) -> bool:
        """Whether an attempt of the last 5 minutes succeeded."""
        counts = self._window.counts(self._clock.monotonic())
        return counts.attempts > counts.failures

    @property
    def availability(self) -> float | None:
        """Share of the last 5 minutes in which it could take traffic; None where nothing is known."""
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
        found = "is available again" if available else f"is unavailable: {reason or 'it does not answer'}"
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
    """Satisfies the gateway's port of this name: the right to one attempt, given back by its end."""

    __slots__ = ("_of_target", "_permit", "_state", "_target")

    def __init__(self, state: ProviderState, permit: CallPermit, target: TargetState, of_target: CallPermit) -> None:
        self._state = state
        self._permit: CallPermit | None = permit
        self._target = target
        self._of_target = of_target

    def pause(self, seconds: float) -> None:
        """Skip the target for so long."""
        self._target.pause(seconds)

    def attempt_answers(self) -> None:
        """Take in that content arrived."""
        if self._permit is not None:
            self._state.attempt_answers(self._permit, self._of_target)

    def attempt_finished(self, model: str, event: AttemptFinished) -> None:
        """Take in the attempt's one end; a second time changes nothing."""
        permit, self._permit = self._permit, None
        if permit is not None:
            self._state.attempt_finished(permit, self._of_target, model, event)


def _result_of(event: AttemptFinished, scope: Scope) -> CallResult:
    """Return what an attempt says to the breaker of a scope: a failure counts where it is, and says nothing elsewhere."""
    if event.status == "success":
        return "success"
    if event.error_kind is None or event.connection_was_stale or fault_of(event.error_kind).scope != scope:
        return "neutral"
    return "failure"
