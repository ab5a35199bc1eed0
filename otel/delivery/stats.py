"""The delivery's counters, one set per signal: what is queued, exported, dropped and why, and how often it was retried.

Every enqueued item is in exactly one of queued, exported, dropped and, after shutdown, stored.
"""

from collections.abc import Mapping

import msgspec

from otel.catalogue import semconv


class SignalStats(msgspec.Struct, frozen=True, kw_only=True):
    """One signal at one moment. Items are spans, log records or metric pushes; bytes are those of encoded requests.

    `dropped` has every reason of `semconv.DELIVERY_DROP_REASONS`, zeros included. All but the two queue sizes only grow.
    """

    queued_items: int
    queued_bytes: int
    exported: int
    dropped: Mapping[str, int]
    retries: int
    stored: int = 0
    """Items that shutdown stored for a later process."""


class SignalCounters:
    """The counters of one signal; its owner holds a lock around every call."""

    def __init__(self) -> None:
        self.exported = 0
        self.retries = 0
        self.stored = 0
        self.dropped = dict.fromkeys(semconv.DELIVERY_DROP_REASONS, 0)

    def acknowledged(self, items: int, rejected_items: int) -> None:
        """Count one acknowledged request, of which the endpoint may have rejected a part."""
        rejected = min(max(rejected_items, 0), items)
        self.exported += items - rejected
        self.dropped["rejected"] += rejected

    def abandoned(self, items: int, stored_items: int) -> None:
        """Count what shutdown could not deliver, `stored_items` of it for a later process."""
        self.dropped["shutdown"] += max(0, items - stored_items)
        self.stored += stored_items

    def snapshot(self, *, queued_items: int, queued_bytes: int) -> SignalStats:
        """Return a copy of the counters together with the queue's size."""
        return SignalStats(
            queued_items=queued_items,
            queued_bytes=queued_bytes,
            exported=self.exported,
            dropped=dict(self.dropped),
            retries=self.retries,
            stored=self.stored,
        )
