"""The version of the gateway, as `--version` prints it and telemetry carries it."""

from typing import Final

VERSION: Final = "0.2.0"
"""A test holds it equal to that of `pyproject.toml`: a clone has no package metadata to read."""
