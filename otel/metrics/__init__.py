"""Metrics: measurements -> instruments -> bound series and views (of the SDK) -> reader."""
