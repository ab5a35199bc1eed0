"""The signals of one provider, one model or the whole gateway, judged once a minute.

Everything that must survive a restart is here. The rules hold no state and are shared by all scopes.
"""

import math
from collections.abc import Callable
from typing import Final

import msgspec

from app.anomaly.baseline import Baseline
from app.anomaly.episode import NEVER, Edge, Episode
from app.anomaly.error_baseline import ErrorBaseline
from app.anomaly.errors import judge_errors
from app.anomaly.levels import WINDOWS_MINUTES, Level, input_moments, output_moments, slowdown_moments
from app.anomaly.minute import Minute
from app.anomaly.reading import Reading, Scope, Signal
from app.anomaly.traffic import WINDOWS_MINUTES as TRAFFIC_WINDOWS_MINUTES
from app.anomaly.traffic import judge_traffic, learn_traffic
from app.config.schema import AnomaliesConfig

TOTALS: Final = max(WINDOWS_MINUTES) + 1

_YOUNG_MINUTES: Final = 45


class Change(msgspec.Struct, frozen=True):
    """A signal of a scope began (with its reading) or ended to be unusual."""

    scope: Scope
    signal: Signal
    edge: Edge
    reading: Reading | None


class ScopeState(msgspec.Struct):
    """Running totals of the last half hour (oldest first), and per signal what is normal and whether it is unusual now."""

    totals: list[Minute] = msgspec.field(default_factory=lambda: [Minute()])
    slowdown: Baseline = msgspec.field(default_factory=Baseline)
    input_tokens: Baseline = msgspec.field(default_factory=Baseline)
    output_tokens: Baseline = msgspec.field(default_factory=Baseline)
    errors: ErrorBaseline = msgspec.field(default_factory=ErrorBaseline)
    traffic: list[Baseline] = msgspec.field(default_factory=lambda: [Baseline() for _ in TRAFFIC_WINDOWS_MINUTES])
    slowdown_episode: Episode = msgspec.field(default_factory=Episode)
    input_tokens_episode: Episode = msgspec.field(default_factory=Episode)
    output_tokens_episode: Episode = msgspec.field(default_factory=Episode)
    errors_episode: Episode = msgspec.field(default_factory=Episode)
    traffic_episode: Episode = msgspec.field(default_factory=Episode)
    has_traffic: bool = False
    age_minutes: int = 0


class Rules:
    """Judges scopes by one configuration."""

    def __init__(self, config: AnomaliesConfig) -> None:
        self._config = config
        self._slowdown = self._level("slowdown", slowdown_moments, config.latency_factor, both_ways=False)
        self._input = self._level("input_tokens", input_moments, config.token_factor, both_ways=True)
        self._output = self._level("output_tokens", output_moments, config.token_factor, both_ways=True)
        self._traffic_shift = math.log(config.traffic_factor)

    def _level(
        self,
        signal: Signal,
        moments: Callable[[Minute, Minute], tuple[int, float, float]],
        factor: float,
        *,
        both_ways: bool,
    ) -> Level:
        return Level(
            signal,
            moments,
            shift=math.log(factor),
            both_ways=both_ways,
            significance=self._config.significance,
            min_attempts=self._config.min_attempts,
        )

    def step(self, scope: Scope, state: ScopeState, minute: Minute) -> list[Change]:
        """Add one minute and judge it."""
        if not state.has_traffic:
            # Before its first attempt a scope has no normal, not even silence.
            if not minute.attempts:
                return []
            state.has_traffic = True
        state.age_minutes += 1
        _append(state.totals, minute)
        levels = (
            (self._slowdown, state.slowdown, state.slowdown_episode),
            (self._input, state.input_tokens, state.input_tokens_episode),
            (self._output, state.output_tokens, state.output_tokens_episode),
        )
        steps = (
            *(self._level_step(scope, state, level, baseline, episode) for level, baseline, episode in levels),
            self._errors_step(scope, state, minute),
            self._traffic_step(scope, state),
        )
        return [change for change in steps if change is not None]

    def _level_step(
        self, scope: Scope, state: ScopeState, level: Level, baseline: Baseline, episode: Episode
    ) -> Change | None:
        verdict, reading = level.judge(scope, state.totals, baseline, _reach(episode))
        edge = episode.step(verdict, self._config.max_episode_minutes)
        if edge == "began":
            baseline.forget_waiting()
        elif edge == "outlived":
            baseline.restart()
        elif not episode.active and _is_learning(state):
            level.learn(state.totals, baseline, episode.clean_minutes)
        return None if edge is None else Change(scope, level.signal, edge, reading)

    def _errors_step(self, scope: Scope, state: ScopeState, minute: Minute) -> Change | None:
        episode = state.errors_episode
        verdict, reading = judge_errors(
            scope,
            state.totals,
            state.errors,
            reach_minutes=_reach(episode),
            rise=self._config.error_rise,
            significance=self._config.significance,
        )
        edge = episode.step(verdict, self._config.max_episode_minutes)
        if edge == "began":
            state.errors.forget_waiting()
        elif edge == "outlived":
            state.errors.restart()
        elif not episode.active:
            state.errors.learn(minute.failures, minute.judged)
        return None if edge is None else Change(scope, "errors", edge, reading)

    def _traffic_step(self, scope: Scope, state: ScopeState) -> Change | None:
        baselines, episode = state.traffic, state.traffic_episode
        verdict, reading = judge_traffic(
            scope, state.totals, baselines, reach_minutes=_reach(episode), surge_shift=self._traffic_shift
        )
        edge = episode.step(verdict, self._config.max_episode_minutes)
        if edge == "began":
            for baseline in baselines:
                baseline.forget_waiting()
        elif edge == "outlived":
            for baseline in baselines:
                baseline.restart()
        elif (episode.is_recurrent or not episode.active) and _is_learning(state):
            # Recurring bursts belong to this traffic: they are learned while they last.
            learn_traffic(state.totals, baselines, _reach(episode))
        return None if edge is None else Change(scope, "traffic", edge, reading)


def _is_learning(state: ScopeState) -> bool:
    """Return whether this minute's windows are learned: all at first, then every other, because windows of 3 minutes and more overlap."""
    return state.age_minutes <= _YOUNG_MINUTES or state.age_minutes % 2 == 0


def _reach(episode: Episode) -> int:
    """Return how far back a window may look: while an anomaly runs, into it."""
    return NEVER if episode.active else episode.clean_minutes


def _append(totals: list[Minute], minute: Minute) -> None:
    """Add a minute to the running totals."""
    totals.append(totals[-1].plus(minute))
    if len(totals) > TOTALS:
        totals.pop(0)
