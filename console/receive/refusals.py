"""Counts the items of a request that cannot be stored, for OTLP's partial success."""


class Refusals:
    """Of one request: how many items were refused, and why the first one was."""

    def __init__(self) -> None:
        self.count = 0
        self.reason = ""

    def refuse(self, reason: str, items: int = 1) -> None:
        """Count items."""
        self.count += items
        self.reason = self.reason or reason
