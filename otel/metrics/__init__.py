"""Metrics: an event becomes samples.

    measurements -> instruments -> label_set, bound_series -> SDK aggregation (views, exemplar_reservoir)
    SDK aggregation -> reader (exemplars) -> exposition and push

`process` is read when a collection asks for it.
"""
