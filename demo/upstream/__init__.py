"""Upstreams of the demo: simulated providers that speak the real wire format, and a local model."""
