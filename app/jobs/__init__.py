"""Periodic work: scheduler -> published -> the gauges of a collection."""
