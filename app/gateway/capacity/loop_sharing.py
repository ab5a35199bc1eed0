"""Whether a client with few calls uses the event loop beside one with many: then its passes are kept short.

Long passes cost less in all. But each step of a call waits for the rest of a pass, and a client with
one call at a time waits for that several times, whatever fills the passes.
"""

from collections.abc import Callable
from typing import Final

_MANY: Final = 4
"""So many steps of a client wait where it has many calls."""

_REMEMBERED_SECONDS: Final = 1.0

_COUNTED_STEPS: Final = 64
_FEW: Final = 8
"""Half of so many steps in a row are one client's, and another one has at most an eighth of these: equal clients never look so."""


class LoopSharing:
    """For one event loop; `clock` is monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._until = 0.0
        self._steps: dict[str | None, int] = {}
        self._counted = 0

    def count_step(self, client: str | None) -> None:
        """A client began a request or sent more of one, whether it has to wait or not; None is a health check or monitoring.

        The loop is shared where one has at least half of 64 steps, and another at most an eighth of those: many steps that cost
        much fill the passes although none of them has to wait. A probe now and then is no client with few.
        """
        steps = self._steps
        steps[client] = steps.get(client, 0) + 1
        self._counted += 1
        if self._counted == _COUNTED_STEPS:
            most = max(steps.values())
            steps.pop(None, None)
            if 2 * most >= _COUNTED_STEPS and steps and min(steps.values()) * _FEW <= most:
                self._is_shared_for_a_while()
            self._steps, self._counted = {}, 0

    def came_beside(self, steps: int, clients: int) -> None:
        """A client came of whose steps none waits, while so many steps of other clients wait."""
        if clients and steps >= _MANY * clients:
            self._is_shared_for_a_while()

    @property
    def is_shared(self) -> bool:
        """Whether that was so in the last second."""
        return self._until > 0 and self._clock() < self._until

    def _is_shared_for_a_while(self) -> None:
        self._until = self._clock() + _REMEMBERED_SECONDS
