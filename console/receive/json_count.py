"""Counts the messages of an OTLP/JSON body before they are made: the parser takes several microseconds for each."""

import re
from collections.abc import Mapping
from typing import Any, Final

from console.store.records import Signal
from console.store.work import TooLargeError

MAX_CONTAINERS: Final = 750_000
"""Objects and arrays. 16 MiB of attributes such as `http.method` have 650 000."""

_TEXTS: Final = re.compile(rb'"[^"\\]*+(?:\\.?[^"\\]*+)*+(?:"|\Z)', re.DOTALL)
"""Each matches up to the end where its quote is missing, so that none is looked at twice."""

_LEVELS: Final[dict[Signal, tuple[tuple[str, ...], ...]]] = {
    "traces": (("resourceSpans", "resource_spans"), ("scopeSpans", "scope_spans"), ("spans",)),
    "logs": (("resourceLogs", "resource_logs"), ("scopeLogs", "scope_logs"), ("logRecords", "log_records")),
    "metrics": (
        ("resourceMetrics", "resource_metrics"),
        ("scopeMetrics", "scope_metrics"),
        ("metrics",),
        ("gauge", "sum", "histogram", "exponentialHistogram", "exponential_histogram", "summary"),
        ("dataPoints", "data_points"),
    ),
}
"""The fields of the messages at each level, in both spellings that the parser takes."""


def check_containers(body: bytes) -> None:
    """Raise `TooLargeError` where the text has more than `MAX_CONTAINERS`; braces inside of texts are none."""
    if _containers(body) > MAX_CONTAINERS and _containers(_TEXTS.sub(b"", body)) > MAX_CONTAINERS:
        raise TooLargeError(f"the request has more than {MAX_CONTAINERS} objects and arrays; send smaller batches")


def check_json_count(signal: Signal, content: Mapping[str, Any], most: int) -> None:
    """Raise `TooLargeError` for more messages than `most`, down to spans, records and points."""
    left = most
    outer: list[Any] = [content]
    for names in _LEVELS[signal]:
        inner: list[Any] = []
        for message in outer:
            if isinstance(message, dict):
                for name in names:
                    found = message.get(name)
                    inner += found if isinstance(found, list) else () if found is None else (found,)
        left -= len(inner)
        if left < 0:
            raise TooLargeError(f"the request has more than {most} messages; send smaller batches")
        outer = inner


def _containers(text: bytes) -> int:
    return text.count(b"{") + text.count(b"[")
