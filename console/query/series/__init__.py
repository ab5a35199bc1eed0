"""The mathematics of metric series, as Prometheus defines it. No I/O, no clock.

    points of one series -> samples -> rate | increase | value | quantile -> one line of a chart

Times are Unix milliseconds, as Prometheus stores them. Windows are open on the left: (start, end].
Source of the formulas: Prometheus 3.14 (`promql/functions.go`, `promql/quantile.go`, `promql/engine.go`).
"""
