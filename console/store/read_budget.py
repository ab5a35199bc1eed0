"""Bounds how much text one response reads: a sender decides how long the texts of a row are."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

MAX_CHARS: Final = 16 * 2**20


class ReadBudget:
    """For one response. `is_spent`: rows were left out."""

    def __init__(self, chars: int = MAX_CHARS) -> None:
        self._chars = self._left = chars
        self.is_spent = False

    def rows(self, rows: Iterable[Any]) -> Iterator[Any]:
        """Yield rows as long as there is room for their texts, but the first one of the response always."""
        for row in rows:
            if not self.take(sum(len(value) for value in row if isinstance(value, str | bytes))):
                return
            yield row

    def take(self, chars: int) -> bool:
        """Whether there is room for so many more characters."""
        is_first = self._left == self._chars
        self._left -= chars
        if self._left < 0 and not is_first:
            self.is_spent = True
        return not self.is_spent
