"""One request's content becomes a batch. Runs in the writer's thread, so that the event loop goes on."""

from collections.abc import Callable
from typing import Any, Final

from console.receive.content import Content, digest, parse, unpack
from console.receive.logs import log_groups
from console.receive.metrics import TimeWindow, point_groups
from console.receive.refusals import Refusals
from console.receive.spans import span_groups
from console.store.limits import Limits
from console.store.records import Batch, Signal
from console.store.work import TooLargeError

_NS: Final = 1_000_000_000
_MAX_ITEMS: Final[dict[Signal, int]] = {"traces": 20_000, "logs": 20_000, "metrics": 200_000}
"""The rows of one request are one transaction, which must fit into the write-ahead log."""


def read_batch(content: Content, limits: Limits, unix_s: Callable[[], float]) -> Batch:
    """Return the records; raises `MalformedError`."""
    body = unpack(content, limits.body_bytes)
    # Each item may have a resource and a scope of its own.
    request = parse(content.signal, body, content.format, 3 * _MAX_ITEMS[content.signal])
    items = _count(content.signal, request)
    if items > _MAX_ITEMS[content.signal]:
        raise TooLargeError(f"the request has {items} items; send at most {_MAX_ITEMS[content.signal]} at once")
    now_ns = int(unix_s() * _NS)
    refusals = Refusals()
    batch = Batch(content.signal, None, items=items)
    if content.signal == "traces":
        batch.spans = span_groups(request, now_ns, refusals)
    elif content.signal == "logs":
        batch.logs = log_groups(request, now_ns, refusals)
    else:
        window = TimeWindow(now_ns, now_ns - limits.retention_seconds * _NS)
        batch.points = point_groups(request, window, refusals)
    batch.refused, batch.reason = refusals.count, refusals.reason
    if content.signal != "logs" or _have_times(request):
        batch.digest = digest(content.signal, body)
    return batch


def _count(signal: Signal, request: Any) -> int:
    if signal == "traces":
        return sum(len(scoped.spans) for group in request.resource_spans for scoped in group.scope_spans)
    if signal == "logs":
        return sum(len(scoped.log_records) for group in request.resource_logs for scoped in group.scope_logs)
    return sum(
        _points(metric)
        for group in request.resource_metrics
        for scoped in group.scope_metrics
        for metric in scoped.metrics
    )


def _points(metric: Any) -> int:
    kind = metric.WhichOneof("data")
    # A metric of an unknown type is one item that is refused.
    return 1 if kind is None else len(getattr(metric, kind).data_points)


def _have_times(request: Any) -> bool:
    """Whether each log record has a time: without one, equal requests may be different events."""
    return all(
        record.time_unix_nano or record.observed_time_unix_nano
        for group in request.resource_logs
        for scoped in group.scope_logs
        for record in scoped.log_records
    )
