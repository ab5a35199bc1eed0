"""The metrics explorer's chart: any family, evaluated at equal steps, grouped by labels."""

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from console.query.chart_basis import chart_basis, chart_unit
from console.query.chart_points import MAX_ROWS, Range, ReadLimit, count_points, read_line, read_quantiles
from console.query.chart_query import ChartQuery, chart_times, chart_window_ms
from console.query.exemplars import read_chart_exemplars
from console.query.families import functions_of, metric_type
from console.query.histogram_growth import distribution_quantile
from console.query.labels import EVERY_LABEL, group_of
from console.query.lines import EVALUATIONS, HistogramLine, Line
from console.query.series.classic_histogram import Buckets, add_buckets
from console.query.series.samples import LOOKBACK_MS
from console.query.shapes.base import Labels
from console.query.shapes.metrics import Chart, Function
from console.query.shapes.metrics import Series as SeriesShape
from console.query.times import MS, to_ms, to_seconds
from console.query.view import View
from console.store.read_metrics import read_families, read_series
from console.store.rows import Family, Series

_MS_PER_SECOND: Final = 1_000
_DEFAULT_QUANTILE: Final = 0.95
MAX_SUMMARY_QUANTILES: Final = 20
MAX_BUCKETS: Final = 500
"""Many more than instruments have; a sender decides how many there are."""


class _Found(NamedTuple):
    series: Series
    labels: Labels
    points: int


def read_chart(view: View, query: ChartQuery) -> Chart | None:
    """Return the chart; None for an unknown family.

    Raises ValueError for a function that the family does not have, and where it would have too many
    values; the message tells how to narrow it.
    """
    family = _family(view, query)
    if family is None:
        return None
    functions = functions_of(family)
    function = query.function or functions[0]
    if function not in functions:
        raise ValueError(f"fn={function} cannot be drawn of a {family.kind}; these can: {', '.join(functions)}")
    reach_ns = max(query.end_ns - query.begin_ns, LOOKBACK_MS * MS)
    found = _active(view, family, query, Range(query.begin_ns - reach_ns, (query.end_ns,)))
    times_ns, step_ns = chart_times(query, family.kind, len(found))
    window_ms = LOOKBACK_MS if function == "value" else chart_window_ms(query, step_ns)
    wanted = Range(
        times_ns[0] - max(window_ms, LOOKBACK_MS) * MS, times_ns, 0 if function == "value" else window_ms * MS
    )
    quantiles = _quantiles(view, family, function, query, found)
    is_selected = sum(each.points for each in found) > MAX_ROWS
    drawing = _Drawing(view, family, function, wanted, window_ms, is_selected, ReadLimit(query.name))
    drawn = drawing.series(found, query.by, quantiles)
    drawn.sort(key=_last_value, reverse=True)
    shown = found if query.with_exemplars else []
    return Chart(
        name=family.name,
        type=metric_type(family),
        unit=chart_unit(family, function),
        function=function,
        quantiles=[quantile for quantile in quantiles if quantile is not None],
        times=[to_seconds(time_ns) for time_ns in times_ns],
        step_seconds=to_seconds(step_ns),
        range_seconds=window_ms / _MS_PER_SECOND,
        series=drawn[: query.limit],
        truncated=len(drawn) > query.limit,
        exemplars=read_chart_exemplars(
            view, {each.series.id: each.labels for each in shown}, query.begin_ns, query.end_ns
        ),
        basis=chart_basis(family, function, window_ms // _MS_PER_SECOND, is_selected=is_selected),
    )


def _family(view: View, query: ChartQuery) -> Family | None:
    """Return the family of the name and type; of several the one with the most series."""
    families = [
        each
        for each in read_families(view.connection, query.name)
        if query.type is None or metric_type(each) == query.type
    ]
    return max(families, key=lambda each: each.series, default=None)


def _active(view: View, family: Family, query: ChartQuery, wanted: Range) -> list[_Found]:
    """Return the matching series that have points in the range."""
    found = []
    for series in read_series(view.connection, family.id):
        labels = view.labels(series.attributes, series.resource_id)
        if all(match.holds(labels) for match in query.matches):
            points = count_points(view.connection, family, series, wanted, MAX_ROWS + 1)
            if points:
                found.append(_Found(series, labels, points))
    return found


def _quantiles(
    view: View, family: Family, function: Function, query: ChartQuery, found: Sequence[_Found]
) -> list[float | None]:
    """Return the quantiles to draw; one None where the function has none."""
    if family.kind == "summary" and function == "value":
        known = read_quantiles(view.connection, [each.series.id for each in found], query.end_ns)
        wanted = [quantile for quantile in known if query.quantiles is None or quantile in query.quantiles]
        if len(wanted) > MAX_SUMMARY_QUANTILES:
            raise ValueError(f"{query.name} has {len(wanted)} quantiles: name up to {MAX_SUMMARY_QUANTILES} with q")
        return list(wanted)
    if function == "quantile":
        return list(query.quantiles or (_DEFAULT_QUANTILE,))
    return [None]


class _Drawing(NamedTuple):
    """How the series of one chart become lines."""

    view: View
    family: Family
    function: Function
    wanted: Range
    window_ms: int
    is_selected: bool
    limit: ReadLimit

    def series(
        self, found: Sequence[_Found], by: Sequence[str], quantiles: Sequence[float | None]
    ) -> list[SeriesShape]:
        """Return the lines that have at least one value."""
        is_summary_value = self.family.kind == "summary" and self.function == "value"
        drawn = []
        for labels, members in _groups(found, (EVERY_LABEL,) if is_summary_value else by):
            lines = [] if is_summary_value else self._lines(members, None)
            if self.function == "buckets":
                drawn += self._buckets(labels, [line for line in lines if isinstance(line, HistogramLine)])
                continue
            for quantile in quantiles:
                values = self._values(self._lines(members, quantile) if is_summary_value else lines, quantile)
                if any(value is not None for value in values):
                    named = labels if quantile is None else {**labels, "quantile": f"{quantile:g}"}
                    drawn.append(SeriesShape(labels=named, values=values))
        return drawn

    def _lines(self, members: Sequence[_Found], quantile: float | None) -> list[Line]:
        return [
            read_line(
                self.view.connection,
                self.family,
                each.series,
                self.wanted,
                quantile=quantile,
                is_selected=self.is_selected,
                limit=self.limit,
            )
            for each in members
        ]

    def _buckets(self, labels: Labels, lines: Sequence[HistogramLine]) -> list[SeriesShape]:
        """Return a line for each bound: what was observed up to it."""
        ends_ms = (to_ms(time_ns) for time_ns in self.wanted.times_ns)
        columns: list[Buckets] = []
        for end_ms in ends_ms:
            columns.append(add_buckets([line.bucket_increases(end_ms - self.window_ms, end_ms) for line in lines]))
            if len(columns[-1]) > MAX_BUCKETS:
                raise ValueError(f"fn=buckets can draw {MAX_BUCKETS} buckets, and this family has {len(columns[-1])}")
        bounds = sorted(set().union(*columns))
        return [
            SeriesShape(labels={**labels, "le": _bound(bound)}, values=[column.get(bound) for column in columns])
            for bound in bounds
        ]

    def _values(self, lines: Sequence[Line], quantile: float | None) -> list[float | None]:
        values = []
        for time_ms in map(to_ms, self.wanted.times_ns):
            # A sender decides on the buckets and so on the time that a value takes.
            self.view.connection.check()
            values.append(_value(lines, self.function, quantile, time_ms - self.window_ms, time_ms))
        return values


def _groups(found: Sequence[_Found], by: Sequence[str]) -> Iterator[tuple[Labels, list[_Found]]]:
    groups: dict[tuple[tuple[str, str], ...], list[_Found]] = {}
    for each in found:
        groups.setdefault(tuple(sorted(group_of(each.labels, by).items())), []).append(each)
    return ((dict(key), members) for key, members in groups.items())


def _value(
    lines: Sequence[Line], function: Function, quantile: float | None, start_ms: int, end_ms: int
) -> float | None:
    """Return the value of a group over a window, or at its end; None where it is unknown or no finite number."""
    if function == "quantile" and quantile is not None:
        parts = (line.distribution(start_ms, end_ms) for line in lines)
        result = distribution_quantile(quantile, [part for part in parts if part is not None])
    elif function == "average":
        result = _average(lines, start_ms, end_ms)
    else:
        evaluate = EVALUATIONS[function]
        result = _sum(evaluate(line, start_ms, end_ms) for line in lines)
    return result if result is not None and math.isfinite(result) else None


def _bound(bound: float) -> str:
    """Return an upper bound as Prometheus writes it."""
    return "+Inf" if math.isinf(bound) else repr(bound).removesuffix(".0")


def _average(lines: Sequence[Line], start_ms: int, end_ms: int) -> float | None:
    """Return the mean observation; a series without a sum counts in neither part of it."""
    sums = [(line, rate) for line in lines if (rate := line.sum_rate(start_ms, end_ms)) is not None]
    counts = _sum(line.rate(start_ms, end_ms) for line, _ in sums)
    return sum(rate for _, rate in sums) / counts if counts else None


def _sum(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _last_value(series: SeriesShape) -> float:
    """Return the last known value, for the order of the lines."""
    return next((value for value in reversed(series.values) if value is not None), -math.inf)
