"""ANOMALIES: says when a provider, a model or the whole gateway leaves its own recent normal; pure domain, no I/O.

`detector.py` is the way in: attempts go in as they end, findings come out once a minute.
"""
