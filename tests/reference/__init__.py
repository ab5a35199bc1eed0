"""The reference document held to real data: each of its queries, as written and corrected, against the traffic program's own counts.

    reference.toml -> entries ----------------------------------------> check -> report
    reference_traffic (demo traffic) -> counts ---> truth -> expected --^
    Prometheus, Loki of a native stack ------------------> answers -----^

The traffic runs twice, so that all series exist at a quiet moment in between. Each query is evaluated where its window begins at
that moment: every change in the window is then one that the traffic program has counted.
"""
