"""Periodic work on the event loop.

    timer -> scheduler -> run of a job -> stats -> gauges
    run of a job -> published -> the gauges of `app/store`
    timer -> event_loop_lag -> telemetry

`Jobs` in `scheduler.py` runs what `app/store`, `app/providers` and `app/anomaly` define.
"""
