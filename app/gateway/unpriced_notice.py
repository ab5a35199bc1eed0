"""One warning for each target that is used without a price: a cost of 0 must not go unnoticed."""

import logging
from typing import Final

_LOGGER: Final = logging.getLogger("gatewayz.usage")


class UnpricedNotice:
    """Of one target; used by the event loop's thread."""

    def __init__(self) -> None:
        self._is_written = False

    def write(self, provider: str, model: str, upstream_model: str) -> None:
        """Write the warning, the first time."""
        if self._is_written:
            return
        self._is_written = True
        _LOGGER.warning(
            "no price is known for %s at %s: its cost counts as 0 (set input_usd_per_million and"
            " output_usd_per_million of the route, 0.0 where it is free)",
            upstream_model,
            provider,
            extra={"provider": provider, "model": model, "upstream_model": upstream_model},
        )
