"""Detects when a provider, a model or the whole gateway leaves its own recent normal.

    attempt -> watch -> detector (pace, minute) -> scope_state -> levels | errors | traffic (baseline, error_baseline)
            -> episode -> incidents -> watch -> telemetry

`AnomalyWatch` in `watch.py` is the way in, and the one module that does I/O.
"""
