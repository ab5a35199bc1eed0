"""The JSON routes: each is a function from a view and parameters to the response's struct.

They run in a worker thread. Parameters are read before the store is opened, so that a bad request
costs no query.
"""

from collections.abc import Callable, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Final, TypeAlias, get_args

import msgspec

from console.http.chart_parameters import chart_query
from console.http.filters import failure_filter, log_filter, request_filter, trace_filter
from console.http.parameters import Parameters, trace_id
from console.http.responses import ProblemError
from console.query import annotations, facets
from console.query.chart import read_chart
from console.query.cost import period_window, read_cost
from console.query.failures import read_failures
from console.query.families import read_family_list
from console.query.logs import read_logs_page
from console.query.meta import About, read_meta
from console.query.now import read_now
from console.query.pipeline import read_pipeline
from console.query.requests import read_requests_page
from console.query.shapes.base import Shape
from console.query.shapes.cost import Period
from console.query.shapes.now import FailureOrder
from console.query.trace_list import read_trace_page
from console.query.traces import LinkTemplates, read_whole_trace
from console.query.view import View
from console.store.rows import StoreState

_HOUR: Final = 3_600.0
_DAY: Final = 86_400.0


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """What routes need besides the view."""

    about: About
    links: LinkTemplates
    store_state: Callable[[], StoreState]
    doctor_file: Path
    home: Path | None


Query: TypeAlias = Callable[[View], Shape]
Prepare: TypeAlias = Callable[[Parameters, Context, int], Query]
"""Reads the parameters, given the time; returns the query."""


def _meta(_: Parameters, context: Context, now_ns: int) -> Query:  # noqa: ARG001  the signature of all routes
    return lambda view: read_meta(view, context.about)


def _now(parameters: Parameters, context: Context, now_ns: int) -> Query:  # noqa: ARG001  likewise
    part = parameters.text("find") or ""
    return lambda view: read_now(view, part)


def _failures(parameters: Parameters, context: Context, now_ns: int) -> Query:  # noqa: ARG001  likewise
    wanted = failure_filter(parameters)
    begin_ns, end_ns = parameters.window(now_ns, _DAY)
    order: FailureOrder = parameters.choice("sort", get_args(FailureOrder)) or "count"  # type: ignore[assignment]  # one of its choices
    return lambda view: read_failures(view, wanted, begin_ns=begin_ns, end_ns=end_ns, order=order)


def _requests(parameters: Parameters, context: Context, now_ns: int) -> Query:  # noqa: ARG001  likewise
    wanted = request_filter(parameters)
    begin_ns, end_ns = parameters.window(now_ns, _HOUR)
    after, limit = parameters.page()
    return lambda view: read_requests_page(view, wanted, begin_ns=begin_ns, end_ns=end_ns, after=after, limit=limit)


def _facets(parameters: Parameters, context: Context, now_ns: int) -> Query:  # noqa: ARG001  likewise
    names = parameters.texts("field") or facets.NAMES
    return lambda view: facets.read_facets(view, names)


def _traces(parameters: Parameters, context: Context, now_ns: int) -> Query:  # noqa: ARG001  likewise
    wanted = trace_filter(parameters)
    begin_ns, end_ns = parameters.window(now_ns, _HOUR)
    after, limit = parameters.page()
    return lambda view: read_trace_page(view, wanted, begin_ns=begin_ns, end_ns=end_ns, after=after, limit=limit)


def _logs(parameters: Parameters, context: Context, now_ns: int) -> Query:  # noqa: ARG001  likewise
    wanted = log_filter(parameters)
    begin_ns, end_ns = parameters.window(now_ns, _HOUR)
    after, limit = parameters.page()
    return lambda view: read_logs_page(view, wanted, begin_ns=begin_ns, end_ns=end_ns, after=after, limit=limit)


def _metrics(parameters: Parameters, context: Context, now_ns: int) -> Query:  # noqa: ARG001  likewise
    services = parameters.texts("service")
    return lambda view: read_family_list(view, services)


def _chart(parameters: Parameters, context: Context, now_ns: int) -> Query:  # noqa: ARG001  likewise
    query = chart_query(parameters, now_ns)

    def read(view: View) -> Shape:
        chart = read_chart(view, query)
        if chart is None:
            raise ProblemError(HTTPStatus.NOT_FOUND, f"No metric {query.name[:200]!r} was received.")
        return chart

    return read


def cost_window(parameters: Parameters, now_ns: int) -> tuple[Period, int, int]:
    """Return the period of a cost report and its window."""
    period: Period = parameters.choice("period", get_args(Period)) or "today"  # type: ignore[assignment]  # one of its choices
    if period == "range":
        return period, *parameters.window(now_ns, _DAY)
    return period, *period_window(period, 0, now_ns)


def _cost(parameters: Parameters, context: Context, now_ns: int) -> Query:  # noqa: ARG001  likewise
    period, begin_ns, end_ns = cost_window(parameters, now_ns)
    return lambda view: read_cost(view, period, begin_ns=begin_ns, end_ns=end_ns)


def _annotations(parameters: Parameters, context: Context, now_ns: int) -> Query:  # noqa: ARG001  likewise
    kinds = parameters.choices("kind", annotations.KINDS) or annotations.KINDS
    services = parameters.texts("service")
    begin_ns, end_ns = parameters.window(now_ns, _DAY)
    return lambda view: annotations.read_annotations(view, kinds, services, begin_ns=begin_ns, end_ns=end_ns)


def _pipeline(_: Parameters, context: Context, now_ns: int) -> Query:  # noqa: ARG001  likewise
    return lambda view: read_pipeline(view, context.store_state(), context.doctor_file, context.home)


ROUTES: Final[Mapping[str, Prepare]] = {
    "/api/meta": _meta,
    "/api/now": _now,
    "/api/failures": _failures,
    "/api/requests": _requests,
    "/api/facets": _facets,
    "/api/traces": _traces,
    "/api/logs": _logs,
    "/api/metrics": _metrics,
    "/api/metrics/range": _chart,
    "/api/cost": _cost,
    "/api/annotations": _annotations,
    "/api/pipeline": _pipeline,
}
TRACE_PREFIX: Final = "/api/traces/"


def _trace(text: str) -> Prepare:
    def prepare(_: Parameters, context: Context, now_ns: int) -> Query:  # noqa: ARG001  likewise
        wanted = trace_id(text).hex()

        def read(view: View) -> Shape:
            trace = read_whole_trace(view, wanted, context.links)
            if trace is None:
                raise ProblemError(HTTPStatus.NOT_FOUND, "Nothing of this trace is retained.")
            return trace

        return read

    return prepare


def route_of(path: str) -> Prepare | None:
    """Return the route of a path; None where there is none."""
    if path.startswith(TRACE_PREFIX):
        return _trace(path[len(TRACE_PREFIX) :])
    return ROUTES.get(path)
