"""Compares independent counts of one run, line by line.

    traffic program (demo/traffic/counters.py) -+
    /metrics                                   -+-> compare -> findings -> report
    ledger (SQLite)                            -+
    scripted upstream (/_upstream/counters)    -+

`breakers` replaces the lines that circuit breakers make uncertain. `unexpected_clients` allows for requests that the
traffic program did not send. `make demo` runs the comparison at its end.
"""
