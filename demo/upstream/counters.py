"""What the scripted upstream counts: requests and outcomes, as JSON at `GET /_upstream/counters`.

`Gates` lets a test wait until a tagged request has arrived, and release one that is paused.
"""

import asyncio
from collections import Counter
from typing import Any


class UpstreamCounters:
    """For one event loop. An outcome is `status_NNN`, a fault's name, `broken_stream`, `error_event`, `refused_script` or `client_left`."""

    def __init__(self) -> None:
        self._requests: Counter[str] = Counter()
        self._outcomes: Counter[tuple[str, str]] = Counter()
        self._traced: Counter[str] = Counter()
        self._in_flight = 0

    def arrived(self, persona: str, *, traced: bool) -> None:
        """Count a request that arrived."""
        self._requests[persona] += 1
        self._traced[persona] += traced
        self._in_flight += 1

    def ended(self, persona: str, outcome: str) -> None:
        """Count the outcome of a request, exactly once."""
        self._outcomes[persona, outcome] += 1
        self._in_flight -= 1

    def as_json(self) -> dict[str, Any]:
        """Return the counts by persona, and how many requests are in flight."""
        personas = {
            persona: {
                "requests": count,
                "with_traceparent": self._traced[persona],
                "outcomes": {outcome: n for (name, outcome), n in sorted(self._outcomes.items()) if name == persona},
            }
            for persona, count in sorted(self._requests.items())
        }
        return {"personas": personas, "in_flight": self._in_flight}


class Gates:
    """Tags of requests: one event for the arrival, one for the permission to go on after a pause. A tag is used once."""

    def __init__(self) -> None:
        self._arrived: dict[str, asyncio.Event] = {}
        self._released: dict[str, asyncio.Event] = {}

    def arrived(self, tag: str) -> asyncio.Event:
        """The event that the arrival of the tagged request sets."""
        return self._arrived.setdefault(tag, asyncio.Event())

    def released(self, tag: str) -> asyncio.Event:
        """The event that lets the tagged request go on."""
        return self._released.setdefault(tag, asyncio.Event())

    def forget(self, tag: str) -> None:
        """Forget a tagged request that has ended; its arrival stays visible to a waiting client."""
        self._released.pop(tag, None)
        if (event := self._arrived.get(tag)) is not None and event.is_set():
            del self._arrived[tag]
