"""The watch: attempts in, events out; its state is in the store, and a store that fails costs no judgement."""

import pytest

from app.anomaly.watch import STATE_NAME, AnomalyWatch
from app.config.schema import AnomaliesConfig, AppConfig, ModelConfig, ProviderConfig, RouteConfig
from app.gateway.clock import ManualClock
from otel.events import AnomalyBegan, AttemptFinished
from otel.events.usage import Usage
from tests.harness.recording import RecordingRecorder

CONFIG = AppConfig(
    providers=(ProviderConfig(name="alpha", base_url="http://127.0.0.1:9/v1"),),
    models=(ModelConfig(name="small", routes=(RouteConfig(provider="alpha", upstream_model="x"),)),),
)
ANSWER = AttemptFinished(status="success", duration_seconds=1.0, usage=Usage(input_tokens=100, output_tokens=20))


class Store:
    """Keeps states in memory, and fails when it is told to."""

    def __init__(self) -> None:
        self.states: dict[str, str] = {}
        self.fails = False

    async def load(self, name: str) -> str | None:
        if self.fails:
            raise ConnectionError("the store is away")
        return self.states.get(name)

    async def save(self, name: str, state: str) -> None:
        if self.fails:
            raise ConnectionError("the store is away")
        self.states[name] = state


class Harness:
    """A watch on a clock that the test moves."""

    def __init__(self, store: Store | None = None, clock: ManualClock | None = None) -> None:
        self.store = store or Store()
        self.clock = clock or ManualClock(unix_ms=1_700_000_040_000)
        self.recorder = RecordingRecorder()
        self.watch = AnomalyWatch(CONFIG, self.store, self.clock, self.recorder)

    async def minutes(self, count: int, *attempts: AttemptFinished) -> None:
        for _ in range(count):
            for attempt in attempts:
                self.watch.attempt_finished("alpha", "small", attempt, self.clock.monotonic())
            self.clock.advance(60.0)
            await self.watch.run_once()

    @property
    def anomalies(self) -> list[AnomalyBegan]:
        return self.recorder.of(AnomalyBegan)


def failed(kind) -> AttemptFinished:
    return AttemptFinished(status="error", error_kind=kind, duration_seconds=0.1)


async def test_a_surge_of_errors_is_one_event_with_the_numbers_that_made_it() -> None:
    harness = Harness()
    await harness.minutes(30, *[ANSWER] * 20)
    await harness.minutes(10, *[ANSWER] * 10, *[failed("upstream_5xx")] * 10)
    (event,) = harness.anomalies
    assert (event.type, event.scope, event.name, event.signal) == ("error_surge", "provider", "alpha", "errors")
    assert event.value == pytest.approx(1 / 6)  # ten of the window's sixty
    assert event.window_minutes == 3
    assert event.samples == 60
    assert event.threshold == pytest.approx(event.baseline + 0.05)
    assert set(event.also) == {"model:small", "gateway:all"}


@pytest.mark.parametrize(
    "attempt",
    [
        failed("upstream_4xx"),
        AttemptFinished(status="cancelled", cancel_phase="after_first_byte", duration_seconds=9.0),
    ],
)
async def test_what_the_caller_did_is_no_failure_of_the_provider(attempt) -> None:
    harness = Harness()
    await harness.minutes(30, *[ANSWER] * 20)
    await harness.minutes(10, *[ANSWER] * 10, *[attempt] * 10)
    assert harness.anomalies == []


async def test_a_restart_goes_on_with_what_was_normal_and_with_what_was_running() -> None:
    before = Harness()
    await before.minutes(30, *[ANSWER] * 20)
    await before.minutes(3, *[failed("upstream_5xx")] * 20)
    assert len(before.anomalies) == 1
    after = Harness(before.store, before.clock)
    await after.minutes(5, *[failed("upstream_5xx")] * 20)
    assert after.anomalies == []
    await after.minutes(15, *[ANSWER] * 20)
    await after.minutes(3, *[failed("upstream_5xx")] * 20)
    assert [event.type for event in after.anomalies] == ["error_surge"]


async def test_a_store_that_fails_to_save_costs_no_judgement() -> None:
    harness = Harness()
    await harness.minutes(30, *[ANSWER] * 20)
    harness.store.fails = True
    for _ in range(3):
        with pytest.raises(ConnectionError):
            await harness.minutes(1, *[failed("upstream_5xx")] * 20)
    assert len(harness.anomalies) == 1


async def test_a_store_that_fails_to_load_is_asked_again_and_then_done_without(caplog) -> None:
    harness = Harness()
    harness.store.fails = True
    for _ in range(5):
        with pytest.raises(ConnectionError):
            await harness.minutes(1, ANSWER)
    harness.store.fails = False
    await harness.minutes(1, ANSWER)
    assert "starts again" in caplog.text
    assert STATE_NAME in harness.store.states


async def test_a_state_of_another_kind_is_said_and_replaced(caplog) -> None:
    harness = Harness()
    harness.store.states[STATE_NAME] = '{"version": 99}'
    await harness.minutes(1, ANSWER)
    assert "state of version 99" in caplog.text
    assert '"version":1' in harness.store.states[STATE_NAME]


def test_switched_off_it_learns_and_runs_nothing() -> None:
    config = AppConfig(providers=CONFIG.providers, models=CONFIG.models, anomalies=AnomaliesConfig(enabled=False))
    watch = AnomalyWatch(config, Store(), ManualClock(), RecordingRecorder())
    assert (watch.observers(), watch.jobs()) == ((), ())


def test_it_is_a_job_of_every_minute() -> None:
    (job,) = Harness().watch.jobs()
    assert (job.name, job.interval_seconds) == ("anomalies", 60.0)
