"""A chart's query string."""

from typing import Final, get_args

from console.http.parameters import Parameters, bad, readable
from console.query.chart_query import MAX_SERIES, ChartQuery
from console.query.labels import parse_match
from console.query.shapes.metrics import Function, MetricType
from console.query.times import floor_to_ms

_DEFAULT_SERIES: Final = 20
_MAX_QUANTILES: Final = 5
_MAX_SECONDS: Final = 366 * 86_400
_HOUR_SECONDS: Final = 3_600.0


def chart_query(parameters: Parameters, now_ns: int) -> ChartQuery:
    """Return the chart; raises 400."""
    name = parameters.text("name")
    if not name:
        raise bad("name is missing: /api/metrics lists the families")
    begin_ns, end_ns = parameters.window(now_ns, _HOUR_SECONDS)
    end_ns = min(end_ns, floor_to_ms(now_ns))
    if begin_ns >= end_ns:
        raise bad("the range begins in the future")
    function = parameters.choice("fn", get_args(Function))
    metric_type = parameters.choice("type", get_args(MetricType))
    with_exemplars = parameters.flag("exemplars")
    return ChartQuery(
        name=name,
        begin_ns=begin_ns,
        end_ns=end_ns,
        function=function,  # type: ignore[arg-type]  # one of its choices
        type=metric_type,  # type: ignore[arg-type]  # likewise
        quantiles=_quantiles(parameters),
        by=parameters.texts("by"),
        matches=tuple(readable(parse_match, text) for text in parameters.texts("match")),
        step_seconds=_positive(parameters, "step"),
        window_seconds=_positive(parameters, "window"),
        with_exemplars=with_exemplars is not False,
        limit=parameters.whole("limit", _DEFAULT_SERIES, least=1, most=MAX_SERIES),
    )


def _positive(parameters: Parameters, name: str) -> float | None:
    found = parameters.number(name)
    if found is not None and not 0 < found <= _MAX_SECONDS:
        raise bad(f"{name} takes seconds, more than 0")
    return found


def _quantiles(parameters: Parameters) -> tuple[float, ...] | None:
    texts = parameters.texts("q")
    if len(texts) > _MAX_QUANTILES:
        raise bad(f"q may be given {_MAX_QUANTILES} times")
    found = tuple(readable(float, text) for text in texts)
    if any(not 0 <= quantile <= 1 for quantile in found):
        raise bad("q takes a number from 0 to 1")
    return found or None
