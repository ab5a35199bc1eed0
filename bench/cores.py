"""Keeps the server under test on one core and everything else of a benchmark on the others.

A process inherits the cores of the thread that starts it, so no program has to know of this.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec


class Cores(msgspec.Struct, frozen=True):
    """The cores of the server and of the load; both empty where nothing can be pinned."""

    server: frozenset[int] = frozenset()
    load: frozenset[int] = frozenset()

    def describe(self) -> str:
        """Return a phrase for the output."""
        if not self.server:
            return "nothing is pinned: the server shares its cores with the load"
        return f"server on core {_listed(self.server)}, load, upstream and OTLP endpoint on core {_listed(self.load)}"


def split_cores(available: frozenset[int]) -> Cores:
    """Return the last core for the server and the others for the load; nothing where there is only one."""
    if len(available) < 2:
        return Cores()
    last = max(available)
    return Cores(server=frozenset({last}), load=available - {last})


def available_cores() -> frozenset[int]:
    """Return the cores that this process may use; empty where the system does not tell."""
    return frozenset(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else frozenset()


@contextmanager
def on_cores(cores: frozenset[int]) -> Iterator[None]:
    """Keep the calling thread, and all that it starts, on these cores; an empty set changes nothing."""
    if not cores:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _listed(cores: frozenset[int]) -> str:
    return ", ".join(map(str, sorted(cores)))
