"""STATS: the delivery's books, one page per signal: what is queued, exported, dropped and why, and how often it was retried.

Invariant: every item handed over is in exactly one of queued, exported, dropped, and, after
shutdown, kept.
"""

from collections.abc import Mapping

import msgspec

from otel.catalogue import semconv


class SignalStats(msgspec.Struct, frozen=True, kw_only=True):
    """One signal at one moment. Items are spans, log records or metric pushes; bytes are those of encoded requests.

    `dropped` has every reason of `semconv.DROP_REASONS`, zeros included. All but the two queue sizes only grow.
    """

    queued_items: int
    queued_bytes: int
    exported: int
    dropped: Mapping[str, int]
    retries: int
    kept: int = 0
    """Items that shutdown left to a later process."""


class SignalBooks:
    """The counters of one signal; its owner holds a lock around every call."""

    def __init__(self) -> None:
        self.exported = 0
        self.retries = 0
        self.kept = 0
        self.dropped = dict.fromkeys(semconv.DROP_REASONS, 0)

    def answered(self, items: int, rejected_items: int) -> None:
        """Count one acknowledged request, of which the endpoint may have rejected a part."""
        rejected = min(max(rejected_items, 0), items)
        self.exported += items - rejected
        self.dropped["rejected"] += rejected

    def page(self, *, queued_items: int, queued_bytes: int) -> SignalStats:
        """Return a copy of the counters together with the queue's size."""
        return SignalStats(
            queued_items=queued_items,
            queued_bytes=queued_bytes,
            exported=self.exported,
            dropped=dict(self.dropped),
            retries=self.retries,
            kept=self.kept,
        )
