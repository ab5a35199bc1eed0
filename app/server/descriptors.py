"""File descriptors: the process's limit, and the share of it for client connections.

Providers, database, cache, telemetry and monitoring need descriptors as well. The clients' share is
bounded from the start, so that no number of clients takes the last one.
"""

import contextlib
import resource
from typing import Final

from app.config.schema import AppConfig

MOST_CONNECTIONS: Final = 4_096
"""The default bound where the limit allows more: it is also a bound of memory, with `max_header_bytes` for each."""

_OWN: Final = 160
"""Database, cache, telemetry, child processes, files, probes, and connections that are just being accepted or closed."""

_MOST_LIMIT: Final = 1_048_576
_FEWEST: Final = 16


def raise_descriptor_limit() -> None:
    """Raise the soft limit to the hard one; where that is not allowed it stays."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_LIMIT if hard == resource.RLIM_INFINITY else min(hard, _MOST_LIMIT)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def descriptor_limit() -> int:
    """Return how many descriptors the process may have."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST_LIMIT if soft == resource.RLIM_INFINITY else soft


def max_client_connections(config: AppConfig, limit: int) -> int:
    """Return the bound of client connections: `server.max_connections` as far as the limit allows, else what is left of it.

    At least half of a small limit is for clients, even where the settings of providers allow more connections.
    """
    left = max(limit - _OWN - _of_providers(config), (limit - _OWN) // 2, _FEWEST)
    wanted = config.server.max_connections
    return min(MOST_CONNECTIONS, left) if wanted is None else min(wanted, max(limit - _OWN, _FEWEST))


def spare_descriptors(config: AppConfig, limit: int, max_connections: int) -> int:
    """Return how many descriptors nothing has a claim on."""
    return max(0, limit - _OWN - _of_providers(config) - max_connections)


def _of_providers(config: AppConfig) -> int:
    return sum(provider.max_connections for provider in config.providers)
