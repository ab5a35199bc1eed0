"""Connects the detector to the gateway's attempts, its jobs, its log and its store.

Each anomaly is one `AnomalyBegan` and one log line when it ends. The detector's state is stored, so
that a restart knows what is normal.
"""

import asyncio
import logging
from typing import Final, Protocol

from app.anomaly.detector import AnomalyDetector, AttemptOutcome, StateError
from app.anomaly.incidents import Began, Ended
from app.config.schema import AppConfig
from app.gateway.fault import fault_of
from app.gateway.ports import AttemptObserver, Clock
from app.jobs.scheduler import Job
from otel.events import AnomalyBegan, AttemptFinished, Recorder

STATE_NAME: Final = "anomalies"

_LOGGER: Final = logging.getLogger("gatewayz.anomaly")
_MAX_LOADS: Final = 5
_TIMEOUT_SECONDS: Final = 30.0
_SAVED_BYTES_PER_RUN: Final = 1_000_000


class DetectorStateStore(Protocol):
    """Keeps the detector's state over restarts."""

    async def load(self, name: str) -> str | None:
        """Return what was saved last, None before the first save; raises when the store fails."""

    async def save(self, name: str, state: str) -> None:
        """Replace the stored state; raises when the store fails."""


class AnomalyWatch:
    """Satisfies `AttemptObserver`; for one event loop."""

    def __init__(self, config: AppConfig, store: DetectorStateStore, clock: Clock, recorder: Recorder) -> None:
        routes = config.routes
        self._config = config.anomalies
        self._detector = AnomalyDetector(routes, config.anomalies)
        self._store = store
        self._clock = clock
        self._recorder = recorder
        self._loads = 0
        self._is_loaded = False
        self._runs_without_save = 0

    def observers(self) -> tuple[AttemptObserver, ...]:
        """Return the observers of attempts: itself, unless it is switched off."""
        return (self,) if self._config.enabled else ()

    def jobs(self) -> tuple[Job, ...]:
        """Return the evaluation as a job, unless it is switched off."""
        if not self._config.enabled:
            return ()
        interval_seconds = self._config.interval_seconds
        return (
            Job(
                name="anomalies",
                run=self.run_once,
                interval_seconds=interval_seconds,
                timeout_seconds=min(interval_seconds, _TIMEOUT_SECONDS),
            ),
        )

    def attempt_finished(self, provider: str, model: str, event: AttemptFinished, now_seconds: float) -> None:  # noqa: ARG002  the port's clock is monotonic; minutes are of the wall clock, which a restart does not start again
        """Count an attempt that ended now."""
        self._detector.observe(
            provider,
            model,
            _outcome_of(event),
            now_seconds=self._clock.unix_ms() / 1_000,
            duration_seconds=event.duration_seconds,
            input_tokens=event.usage.input_tokens,
            output_tokens=event.usage.output_tokens,
        )

    async def run_once(self) -> None:
        """Judge the minutes that are over; raises when the store fails, after the judgement."""
        if not self._is_loaded:
            await self._load()
        now_seconds = self._clock.unix_ms() / 1_000
        for findings in self._detector.evaluate_in_steps(now_seconds):
            for finding in findings:
                self._report(finding)
            # Other work of the event loop does not wait for a large configuration.
            await asyncio.sleep(0)
        await self._save()

    async def _load(self) -> None:
        """Continue from the stored state. The next runs try a failing store again; after that the watch starts without it."""
        self._loads += 1
        if self._loads <= _MAX_LOADS:
            state = await self._store.load(STATE_NAME)
        else:
            state = None
            _LOGGER.warning("the anomaly detector starts again: its state could not be loaded")
        self._is_loaded = True
        if state is None:
            return
        try:
            self._detector.restore(state, now_seconds=self._clock.unix_ms() / 1_000)
        except StateError as error:
            _LOGGER.warning("the anomaly detector starts again: %s", error)

    async def _save(self) -> None:
        """Save the state; a large one not in every run, so that a restart loses minutes, and the database is not overloaded."""
        if self._runs_without_save > 0:
            self._runs_without_save -= 1
            return
        state = b""
        for part in self._detector.dump_in_steps():
            state = part
            await asyncio.sleep(0)
        await self._store.save(STATE_NAME, state.decode())
        self._runs_without_save = len(state) // _SAVED_BYTES_PER_RUN

    def _report(self, finding: Began | Ended) -> None:
        if isinstance(finding, Ended):
            _LOGGER.info(
                "%s of %s %s ended",
                finding.type,
                finding.scope.kind,
                finding.scope.name,
                extra={
                    "type": finding.type,
                    "scope": finding.scope.kind,
                    finding.scope.kind: finding.scope.name,
                    "lasted_minutes": finding.minutes,
                },
            )
            return
        reading = finding.reading
        self._recorder.record(
            AnomalyBegan(
                type=finding.type,
                scope=reading.scope.kind,
                name=reading.scope.name,
                signal=reading.signal,
                value=reading.value,
                baseline=reading.baseline,
                spread=reading.spread,
                threshold=reading.threshold,
                samples=reading.samples,
                window_minutes=reading.minutes,
                also=tuple(f"{scope.kind}:{scope.name}" for scope in finding.also),
            )
        )


def _outcome_of(event: AttemptFinished) -> AttemptOutcome:
    if event.status == "success":
        return "success"
    if event.status == "cancelled" or event.error_kind is None or not fault_of(event.error_kind).moves_provider_state:
        return "unjudged"
    return "failure"
