"""Reads the marked request's line in Loki and its trace in Tempo, Alertmanager's receivers, and Grafana's data sources.

None means: not found, or not yet.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import msgspec

from app.doctor.facts import DataSource, LogLine
from app.doctor.web import NoResponse, Web

DOCUMENTED_SELECTOR: Final = '{job="gatewayz"}'
_HIDDEN_LABEL: Final = "__"
_WINDOW_SECONDS: Final = 3_600.0
_NANO: Final = 1_000_000_000


class _Labels(msgspec.Struct):
    data: list[str] = []


class _Stream(msgspec.Struct):
    stream: dict[str, str]


class _Streams(msgspec.Struct):
    result: list[_Stream]


class _Found(msgspec.Struct):
    """What is read of a log query's response."""

    data: _Streams


class _Scope(msgspec.Struct, rename="camel"):
    spans: list[Any] = []


class _Batch(msgspec.Struct, rename="camel"):
    scope_spans: list[_Scope] = []


class _Trace(msgspec.Struct, rename="camel"):
    """What is read of a trace; `batches` is Tempo 2's name for OTLP's `resourceSpans`."""

    batches: list[_Batch] = []
    resource_spans: list[_Batch] = []


async def query_line(web: Web, url: str, trace_id: str, unix_seconds: float) -> LogLine | None:
    """Look for the line as the documented query does; where that finds nothing, under any label."""
    labels = await _line(web, url, DOCUMENTED_SELECTOR, trace_id, unix_seconds)
    if labels is not None:
        return LogLine(DOCUMENTED_SELECTOR, labels, has_job=True)
    reply = await web.get(f"{url}/loki/api/v1/labels", params=_window(unix_seconds))
    known = None if isinstance(reply, NoResponse) else reply.read(_Labels)
    for name in known.data if known is not None else ():
        if name == "job" or name.startswith(_HIDDEN_LABEL):
            continue
        selector = f'{{{name}=~".+"}}'
        labels = await _line(web, url, selector, trace_id, unix_seconds)
        if labels is not None:
            # It may have arrived between the two queries.
            again = await _line(web, url, DOCUMENTED_SELECTOR, trace_id, unix_seconds)
            return (
                LogLine(selector, labels, has_job=False)
                if again is None
                else LogLine(DOCUMENTED_SELECTOR, again, has_job=True)
            )
    return None


async def _line(web: Web, url: str, selector: str, trace_id: str, unix_seconds: float) -> Mapping[str, str] | None:
    params = {"query": f'{selector} | json | trace_id="{trace_id}"', "limit": "1", **_window(unix_seconds)}
    reply = await web.get(f"{url}/loki/api/v1/query_range", params=params)
    found = None if isinstance(reply, NoResponse) else reply.read(_Found)
    return found.data.result[0].stream if found is not None and found.data.result else None


def _window(unix_seconds: float) -> dict[str, str]:
    """Wide enough for a line with a wrong time."""
    return {
        "start": str(round((unix_seconds - _WINDOW_SECONDS) * _NANO)),
        "end": str(round((unix_seconds + _WINDOW_SECONDS) * _NANO)),
    }


async def query_trace(web: Web, url: str, trace_id: str) -> int | None:
    """Return how many spans the trace has; None where it is not found."""
    reply = await web.get(f"{url}/api/traces/{trace_id}", headers={"accept": "application/json"})
    if isinstance(reply, NoResponse) or reply.status != HTTPStatus.OK:
        return None
    trace = reply.read(_Trace) or _Trace()
    return (
        sum(len(scope.spans) for batch in (*trace.batches, *trace.resource_spans) for scope in batch.scope_spans)
        or None
    )


async def query_data_sources(web: Web, url: str, token: str | None) -> tuple[DataSource, ...] | None:
    """Return Grafana's data sources; None where they may not be read."""
    headers = {"authorization": f"Bearer {token}"} if token else {}
    reply = await web.get(f"{url}/api/datasources", headers=headers)
    return None if isinstance(reply, NoResponse) else reply.read(tuple[DataSource, ...])
