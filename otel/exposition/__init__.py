"""Exposition: what the reader collected, as Prometheus text 0.0.4 and OpenMetrics 1.0.0.

    endpoint <- negotiation (format, gzip)
    snapshot -> family (names, merge) -> series (buckets, syntax) -> text, openmetrics -> shared_bytes
    snapshot -> readings (quantile) -> summary;  catalogue -> reference

`collect_threads` bounds the threads that collect.
"""

from otel.exposition.endpoint import Exposition, ExpositionResponse
from otel.exposition.negotiation import MediaType, negotiate_media_type

__all__ = ["Exposition", "ExpositionResponse", "MediaType", "negotiate_media_type"]
