"""The detector: takes each attempt as it ends, and returns the anomalies that began and ended each minute.

`dump` and `restore` carry its state over a restart. It reads no clock, does no I/O and belongs to
one thread.
"""

from collections.abc import Iterable, Iterator
from typing import Final, Literal, TypeAlias

import msgspec

from app.anomaly.incidents import Began, Connections, Ended, Incident, join_signals
from app.anomaly.minute import Minute
from app.anomaly.pace import Pace
from app.anomaly.reading import Scope
from app.anomaly.scope_state import Change, Rules, ScopeState
from app.config.schema import AnomaliesConfig

AttemptOutcome: TypeAlias = Literal["success", "failure", "unjudged"]
Route: TypeAlias = tuple[str, str]

STATE_VERSION: Final = 1
MAX_SILENT_MINUTES: Final = 5
"""After more minutes than that without an evaluation, they are left out instead of counting as silence."""

STEP_SCOPES: Final = 32
"""Scopes that are judged in one step."""

MAX_LEARNED_PER_MINUTE: Final = 64
"""Attempts of one route whose durations are learned: an evaluation does not cost more for more traffic."""

_MINUTE_SECONDS: Final = 60


class DetectorState(msgspec.Struct):
    """The state that survives a restart. `closed_minute` is the newest minute that was judged (minutes of the Unix epoch)."""

    version: int = STATE_VERSION
    closed_minute: int = -1
    paces: dict[str, dict[str, Pace]] = {}
    scopes: dict[str, dict[str, ScopeState]] = {}
    incidents: list[Incident] = []


class StateError(Exception):
    """A stored state cannot be used."""


class AnomalyDetector:
    """Watches the configured routes, which are (provider, model) pairs; attempts of others are ignored."""

    def __init__(self, routes: Iterable[Route], config: AnomaliesConfig) -> None:
        self._routes = sorted(set(routes))
        self._connections = Connections(self._routes)
        self._rules = Rules(config)
        self._scopes = _scopes(self._routes)
        self._state = DetectorState()
        self._open: dict[int, dict[Route, Minute]] = {}
        self._learnable: dict[Route, list[tuple[int, int, float]]] = {route: [] for route in self._routes}
        self._complete()

    def observe(
        self,
        provider: str,
        model: str,
        outcome: AttemptOutcome,
        *,
        now_seconds: float,
        duration_seconds: float = 0.0,
        input_tokens: int = 0,
        output_tokens: int = 0,
    ) -> None:
        """Count an attempt that ended at `now_seconds` (Unix epoch). Duration and tokens matter only for a success."""
        route = (provider, model)
        learnable = self._learnable.get(route)
        if learnable is None:
            return
        number = max(int(now_seconds // _MINUTE_SECONDS), self._state.closed_minute + 1)
        routes = self._open.setdefault(number, {})
        minute = routes.get(route)
        if minute is None:
            minute = routes[route] = Minute()
        if outcome == "success":
            expected = self._state.paces[provider][model].expected_seconds(input_tokens, output_tokens)
            minute.add_success(duration_seconds / expected if expected else None, input_tokens, output_tokens)
            if len(learnable) < MAX_LEARNED_PER_MINUTE:
                learnable.append((input_tokens, output_tokens, duration_seconds))
        elif outcome == "failure":
            minute.add_failure()
        else:
            minute.add_unjudged()

    def evaluate(self, now_seconds: float) -> list[Began | Ended]:
        """Judge every whole minute that is over; a call within the same minute changes nothing."""
        return [finding for step in self.evaluate_in_steps(now_seconds) for finding in step]

    def evaluate_in_steps(self, now_seconds: float) -> Iterator[list[Began | Ended]]:
        """Do the same in steps of about a millisecond, between which attempts may be observed; to be taken to the end."""
        newest = int(now_seconds // _MINUTE_SECONDS) - 1
        first = self._state.closed_minute + 1
        if newest - first >= MAX_SILENT_MINUTES:
            first = min(self._open, default=newest)
        for number in range(first, newest + 1):
            yield from self._close(number)

    def dump(self) -> bytes:
        """Return the state as JSON; the minute that is not over is not in it."""
        return [*self.dump_in_steps()][-1]

    def dump_in_steps(self) -> Iterator[bytes]:
        """Do the same in steps of about a millisecond, all but the last of which are empty; to be taken without an evaluation between."""
        encode = msgspec.json.encode
        scopes: dict[str, dict[str, msgspec.Raw]] = {}
        for kind, states in self._state.scopes.items():
            scopes[kind] = {}
            for name, state in states.items():
                scopes[kind][name] = msgspec.Raw(encode(state))
                if len(scopes[kind]) % STEP_SCOPES == 0:
                    yield b""
        whole = msgspec.structs.asdict(self._state) | {"scopes": scopes}
        yield encode(whole)

    def restore(self, state: bytes | str, *, now_seconds: float) -> None:
        """Continue from a dump; raises `StateError`, and changes nothing, where it is not one of this version.

        The minutes since the dump were not observed: they are left out instead of counting as silence.
        """
        try:
            found = msgspec.json.decode(state, type=DetectorState)
        except msgspec.DecodeError as error:
            raise StateError(f"not a detector state: {error}") from None
        if found.version != STATE_VERSION:
            raise StateError(f"state of version {found.version}; this program writes {STATE_VERSION}")
        found.closed_minute = max(found.closed_minute, int(now_seconds // _MINUTE_SECONDS) - 1)
        self._state = found
        self._complete()

    def _complete(self) -> None:
        """Make the state hold exactly the configured scopes."""
        state = self._state
        state.paces = {
            provider: {
                model: state.paces.get(provider, {}).get(model) or Pace()
                for at, model in self._routes
                if at == provider
            }
            for provider, _ in self._routes
        }
        kept = {kind: state.scopes.get(kind, {}) for kind in ("provider", "model", "gateway")}
        state.scopes = {kind: {} for kind in kept}
        for number, scope in enumerate(self._scopes):
            state.scopes[scope.kind][scope.name] = kept[scope.kind].get(scope.name) or ScopeState(
                age_minutes=number % 2
            )
        for incident in state.incidents:
            incident.members = [member for member in incident.members if member[0] in self._scopes]

    def _close(self, number: int) -> Iterator[list[Began | Ended]]:
        """Judge one whole minute."""
        self._state.closed_minute = number
        routes = self._open.pop(number, {})
        changes: list[Change] = []
        for count, (scope, minute) in enumerate(self._by_scope(routes), 1):
            changes += self._rules.step(scope, self._state.scopes[scope.kind][scope.name], minute)
            if count % STEP_SCOPES == 0:
                yield []
        for count, _ in enumerate(self._learn_paces(), 1):
            if count % STEP_SCOPES == 0:
                yield []
        yield join_signals(self._state.incidents, changes, self._connections, number)

    def _by_scope(self, routes: dict[Route, Minute]) -> Iterator[tuple[Scope, Minute]]:
        """Return every scope with the sum of its routes."""
        sums: dict[Scope, Minute] = {}
        gateway = Minute()
        for (provider, model), minute in routes.items():
            gateway = gateway.plus(minute)
            for scope in (Scope("provider", provider), Scope("model", model)):
                known = sums.get(scope)
                sums[scope] = minute if known is None else known.plus(minute)
        sums[_GATEWAY] = gateway
        nothing = Minute()
        for scope in self._scopes:
            yield scope, sums.get(scope, nothing)

    def _learn_paces(self) -> Iterator[Route]:
        """Learn the minute's durations, route by route, but not those of one that is slower than usual just now."""
        for (provider, model), attempts in self._learnable.items():
            if not attempts:
                continue
            learned, attempts[:] = attempts[:], []
            if not self._is_slow(provider, model):
                pace = self._state.paces[provider][model]
                for attempt in learned:
                    pace.learn(*attempt)
            yield provider, model

    def _is_slow(self, provider: str, model: str) -> bool:
        scopes = self._state.scopes
        return (
            scopes["provider"][provider].slowdown_episode.active
            or scopes["model"][model].slowdown_episode.active
            or scopes["gateway"][_GATEWAY.name].slowdown_episode.active
        )


_GATEWAY: Final = Scope("gateway", "all")


def _scopes(routes: Iterable[Route]) -> dict[Scope, None]:
    """Return all scopes in a fixed order."""
    pairs = list(routes)
    return dict.fromkeys(
        [Scope("provider", provider) for provider, _ in pairs]
        + [Scope("model", model) for _, model in pairs]
        + [_GATEWAY]
    )
