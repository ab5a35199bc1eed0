"""Exposition: what the reader collected, as Prometheus text 0.0.4 and OpenMetrics 1.0.0.

    request -> scrape_request -> pages (collect_threads) -> endpoint <- negotiation (format, gzip)
    snapshot -> family (names, merge) -> series -> series_block -> sample_text (buckets, syntax)
             -> text, openmetrics -> shared_bytes
    snapshot -> readings (quantile) -> summary;  catalogue -> reference

`pages` are what the library's and the gateway's routes both serve.
"""

from otel.exposition.endpoint import Exposition, ExpositionResponse
from otel.exposition.negotiation import MediaType, negotiate_media_type

__all__ = ["Exposition", "ExpositionResponse", "MediaType", "negotiate_media_type"]
