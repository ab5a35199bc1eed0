"""One window for each configured provider, and one for each model at each of its providers.

Input: every attempt as it ends. Output: the windows, by key. An attempt that is no evidence about
the provider (its client left, its request was wrong, its connection was stale) is in none of them;
what is not configured has none, so memory is constant.
"""

from collections.abc import Iterable, Mapping
from typing import TypeAlias

import msgspec

from app.gateway.fault import fault_of
from app.providers.attempt_window import AttemptWindow, Outcome
from otel.events import AttemptFinished


class WindowKey(msgspec.Struct, frozen=True):
    """Whose attempts a window holds; `model` None: all of the provider's."""

    provider: str
    model: str | None = None


Routes: TypeAlias = Iterable[tuple[str, str]]
"""Pairs of provider and public model."""


class AttemptWindows:
    """Satisfies `AttemptObserver`. Safe from any thread."""

    def __init__(self, providers: Iterable[str], routes: Routes, started_seconds: float) -> None:
        keys = [WindowKey(provider) for provider in providers]
        keys += [WindowKey(provider, model) for provider, model in dict.fromkeys(routes)]
        self._windows = {key: AttemptWindow(started_seconds) for key in keys}
        self._of_attempts = {
            (key.provider, key.model): (self._windows[WindowKey(key.provider)], window)
            for key, window in self._windows.items()
            if key.model is not None
        }

    @property
    def by_key(self) -> Mapping[WindowKey, AttemptWindow]:
        """All windows; the set never changes."""
        return self._windows

    def of_provider(self, provider: str) -> AttemptWindow:
        """Return a provider's window; raises KeyError for one that is not configured."""
        return self._windows[WindowKey(provider)]

    def attempt_finished(self, provider: str, model: str, event: AttemptFinished, now_seconds: float) -> None:
        """Count an attempt that ended now."""
        outcome = outcome_of(event)
        if outcome is None:
            return
        windows: tuple[AttemptWindow, ...] | None = self._of_attempts.get((provider, model))
        if windows is None:
            found = self._windows.get(WindowKey(provider))
            windows = () if found is None else (found,)
        for window in windows:
            window.add(now_seconds, outcome)


def outcome_of(event: AttemptFinished) -> Outcome | None:
    """Return an attempt as evidence about its provider; None where it was cancelled, or the fault is neither the provider's nor the network's.

    A pooled connection that turned out closed is no evidence either: after a quiet time all of them
    may be closed, and the next attempt, over a fresh connection, is counted.
    """
    if event.status == "cancelled" or event.connection_was_stale:
        return None
    if event.error_kind is not None and not fault_of(event.error_kind).moves_provider_state:
        return None
    first_token = event.first_token_seconds
    return Outcome(
        failed=event.status == "error",
        latency_seconds=event.duration_seconds if first_token is None else first_token,
        duration_seconds=event.duration_seconds,
        input_tokens=event.usage.input_tokens,
        output_tokens=event.usage.output_tokens,
    )
