"""The version of the gateway, as `--version` prints it and telemetry carries it."""

from typing import Final

VERSION: Final = "0.1.0"
