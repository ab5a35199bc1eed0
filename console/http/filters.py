"""Filters of requests, log records and traces, from the query string."""

from console.http.parameters import Parameters, readable
from console.query.failures import FailureFilter
from console.query.log_rows import severity_number
from console.query.logs import LogFilter
from console.query.request_filter import FIELDS, FLAGS, WORDS_OF, RequestFilter
from console.query.trace_list import TraceFilter


def request_filter(parameters: Parameters) -> RequestFilter:
    """Return the filter of requests."""
    texts = {
        name: parameters.choices(name, WORDS_OF[name]) if name in WORDS_OF else parameters.texts(name)
        for name in FIELDS
    }
    flags = {name: value for name in FLAGS if (value := parameters.flag(name)) is not None}
    return RequestFilter(
        fields={name: values for name, values in texts.items() if values},
        flags=flags,
        statuses=parameters.texts("status"),
        services=parameters.texts("service"),
        trace_ids=parameters.trace_ids(),
        latency_seconds=parameters.range("latency"),
        tokens=parameters.range("tokens"),
        cost_usd=parameters.range("cost"),
        words=parameters.text("q") or None,
    )


def log_filter(parameters: Parameters) -> LogFilter:
    """Return the filter of log records."""
    severity = parameters.text("severity")
    return LogFilter(
        severity_from=None if severity is None else readable(severity_number, severity),
        loggers=parameters.texts("logger"),
        services=parameters.texts("service"),
        trace_ids=parameters.trace_ids(),
        words=parameters.text("q") or None,
    )


def trace_filter(parameters: Parameters) -> TraceFilter:
    """Return the filter of traces."""
    return TraceFilter(
        services=parameters.texts("service"),
        names=parameters.texts("name"),
        statuses=parameters.texts("status"),
        duration_seconds=parameters.range("latency"),
    )


def failure_filter(parameters: Parameters) -> FailureFilter:
    """Return the filter of failures."""
    return FailureFilter(
        providers=parameters.texts("provider"),
        models=parameters.texts("model"),
        error_kinds=parameters.texts("error_kind"),
        services=parameters.texts("service"),
    )
