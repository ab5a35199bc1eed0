"""Joins signals that have one cause into one anomaly.

A slow provider makes its models slow, and a slow model every provider that serves it. So a signal
that begins joins a running anomaly of its type when its scope is connected to a scope of that
anomaly: a provider with the models it serves, and the gateway with all. Connected signals that begin
in the same minute are one anomaly, named after the most significant reading. Traffic that moves while
a connected scope is slow or failing is caused by failover and joins that anomaly. An anomaly ends
when all its signals have ended.
"""

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from app.anomaly.reading import TYPE_OF, AnomalyType, Reading, Scope, Signal
from app.anomaly.scope_state import Change

TOGETHER_MINUTES: Final = 5
"""What begins within so many minutes is one anomaly, connected or not: the gateway's network, or the clients."""


_KINDS: Final = ("provider", "model", "gateway")
"""Which name an anomaly gets where readings are equal: a provider with one model is the likelier cause."""


class Incident(msgspec.Struct):
    """A running anomaly: its type, what it is named after, when it began (minutes of the Unix epoch), and the signals that still show it."""

    type: AnomalyType
    lead: Scope
    began_minute: int
    members: list[tuple[Scope, Signal]]


class Began(msgspec.Struct, frozen=True, kw_only=True):
    """A new anomaly: count it. `also` are the other scopes that show it in the same minute."""

    type: AnomalyType
    reading: Reading
    also: tuple[Scope, ...]


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """An anomaly is over, `minutes` after it began."""

    type: AnomalyType
    scope: Scope
    minutes: int


class Connections:
    """Which scopes one cause can show in."""

    def __init__(self, routes: Iterable[tuple[str, str]]) -> None:
        self._routes = frozenset(routes)

    def connected(self, one: Scope, other: Scope) -> bool:
        """Return whether one cause can show in both."""
        if one == other or "gateway" in (one.kind, other.kind):
            return True
        if one.kind == other.kind:
            return False
        provider, model = (one, other) if one.kind == "provider" else (other, one)
        return (provider.name, model.name) in self._routes


def join_signals(
    incidents: list[Incident], changes: Sequence[Change], connections: Connections, minute: int
) -> list[Began | Ended]:
    """Update the list of running incidents; return what began and what ended."""
    for change in changes:
        if change.edge != "began":
            _leave(incidents, change)
    ended = [each for each in incidents if not each.members]
    incidents[:] = [each for each in incidents if each.members]
    fresh = [change.reading for change in changes if change.edge == "began" and change.reading is not None]
    began: list[Began] = []
    # The most significant first: it gives the name, and connected readings join it.
    for reading in sorted(fresh, key=lambda each: (-each.deviation, _KINDS.index(each.scope.kind))):
        running = _running(incidents, reading, connections, minute)
        if running is not None:
            running.members.append((reading.scope, reading.signal))
            continue
        own = TYPE_OF[reading.signal]
        incidents.append(Incident(own, reading.scope, minute, [(reading.scope, reading.signal)]))
        began.append(Began(type=own, reading=reading, also=()))
    return [
        *(Ended(type=each.type, scope=each.lead, minutes=minute - each.began_minute) for each in ended),
        *(_with_company(each, incidents) for each in began),
    ]


def _leave(incidents: list[Incident], change: Change) -> None:
    member = (change.scope, change.signal)
    for incident in incidents:
        if member in incident.members:
            incident.members.remove(member)


def _running(incidents: list[Incident], reading: Reading, connections: Connections, minute: int) -> Incident | None:
    """Return the incident that explains the reading."""
    own = TYPE_OF[reading.signal]
    for incident in incidents:
        explains = incident.type == own or reading.signal == "traffic"
        together = incident.type == own and minute - incident.began_minute <= TOGETHER_MINUTES
        if together or (explains and any(connections.connected(reading.scope, at) for at, _ in incident.members)):
            return incident
    return None


def _with_company(found: Began, incidents: Sequence[Incident]) -> Began:
    incident = next(each for each in incidents if each.type == found.type and each.lead == found.reading.scope)
    others = {scope for scope, _ in incident.members} - {found.reading.scope}
    return msgspec.structs.replace(found, also=tuple(sorted(others)))
