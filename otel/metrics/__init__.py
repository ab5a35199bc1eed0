"""Metrics: an event becomes measurements, and a collection of them; `otel/exposition/` makes the sample lines.

    measurements, usage_measurements -> instruments -> label_set, added_series -> bound_series -> pending
    pending -> SDK aggregation (views, aggregations, exemplar_reservoir), when a reader collects
    SDK aggregation -> reader (exemplars) -> exposition and push

`process` is read at each collection.
"""
