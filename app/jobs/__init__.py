"""JOBS: what the gateway does by the clock instead of by request."""
