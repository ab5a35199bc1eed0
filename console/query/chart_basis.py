"""Where the numbers of a chart come from, and their unit."""

from typing import Final

from console.query.shapes.base import Bases, Basis
from console.query.shapes.metrics import Function
from console.store.rows import Family

_DELTA: Final = 1
_PROMETHEUS: Final = "promql/functions.go and promql/quantile.go of Prometheus"
_SELECTED: Final = "; of this long range the ends of each window and every restart are read"


def chart_basis(family: Family, function: Function, window_seconds: int, *, is_selected: bool) -> Bases:
    """Return the basis of the values, as PromQL where Prometheus would draw the same."""
    name, window = family.name, f"{window_seconds}s"
    formulas: dict[Function, str] = {
        "value": f"sum by (...) ({name})",
        "rate": f"sum by (...) (rate({name}[{window}]))",
        "increase": f"sum by (...) (increase({name}[{window}] anchored)), a series that began in it from 0",
        "average": f"sum by (...) (rate({name}_sum[{window}])) / sum by (...) (rate({name}_count[{window}]))",
        "quantile": f"histogram_quantile(q, sum by (le, ...) (rate({name}_bucket[{window}])))",
        "buckets": f"sum by (le, ...) (increase({name}_bucket[{window}] anchored)), a series that began in it from 0",
    }
    if family.kind == "exponential_histogram":
        formulas["quantile"] = f"histogram_quantile(q, sum by (...) (rate({name}[{window}])))"
    formula = formulas[function]
    if family.temporality == _DELTA and function == "rate":
        formula = f"sum by (...) (sum_over_time({name}[{window}])) / {window_seconds}"
    note = _SELECTED if is_selected else ""
    return {
        "series": Basis(
            source=f"metric {name}",
            window_seconds=None if function == "value" else float(window_seconds),
            formula=f"{formula}, by the formulas of {_PROMETHEUS}{note}",
        ),
        "exemplars": Basis(
            source=f"exemplars of {name}", window_seconds=None, formula="the newest, those with a trace"
        ),
    }


def chart_unit(family: Family, function: Function) -> str:
    """Return the unit of the drawn numbers."""
    counts = "{observation}" if family.kind in {"histogram", "exponential_histogram", "summary"} else family.unit
    if function == "rate":
        return f"{counts or '1'}/s"
    return counts if function in {"increase", "buckets"} else family.unit
