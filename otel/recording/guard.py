"""Keeps failures of recording code away from the application."""

import logging
from collections.abc import Callable
from typing import ParamSpec

P = ParamSpec("P")


class Guard:
    """Runs recording code so that it cannot fail its caller. Safe from any thread."""

    def __init__(self) -> None:
        self.failures = 0
        self._logger = logging.getLogger("otel.recorder")

    def run(self, step: Callable[P, object], /, *args: P.args, **kwargs: P.kwargs) -> None:
        """Run one recording step.

        An exception is counted, and the first is logged with its traceback.
        """
        try:
            step(*args, **kwargs)
        except Exception as error:  # noqa: BLE001  counted, and the first is logged
            self.failed(error)

    def failed(self, error: Exception) -> None:
        """Count what a step raised, and log the first."""
        self.failures += 1
        if self.failures == 1:
            self._logger.error("an event could not be recorded; later failures are only counted", exc_info=error)
