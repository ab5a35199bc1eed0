"""The edges of an anomaly: it begins once, and must end before it can begin again."""

from typing import Final, Literal, TypeAlias

import msgspec

Verdict: TypeAlias = Literal["beyond", "between", "calm", "unknown"]
Edge: TypeAlias = Literal["began", "ended", "outlived"]

CALM_MINUTES: Final = 3
"""Minutes within half of the threshold before an episode is over."""

NEVER: Final = 1_000_000
"""Minutes: no anomaly is remembered."""


_KEPT_PER_MINUTE: Final = 0.5 ** (1 / 120)
_RECURRENT: Final = 3.5


class Episode(msgspec.Struct):
    """One signal's state. `age_minutes` counts since it began, `calm_minutes` since it was last unusual.

    `recurrence`: beginnings, each fading by half in two hours. `clean_minutes`: so many newest minutes hold nothing of the last anomaly; a
    window that reaches further back would see it again.
    """

    active: bool = False
    recurrence: float = 0.0
    clean_minutes: int = NEVER
    age_minutes: int = 0
    calm_minutes: int = 0

    def step(self, verdict: Verdict, max_minutes: int) -> Edge | None:
        """Take one minute's verdict. `outlived`: it lasted `max_minutes`, so the unusual has become the normal."""
        self.recurrence *= _KEPT_PER_MINUTE
        if not self.active:
            self.clean_minutes += 1
            if verdict != "beyond":
                return None
            self.active, self.age_minutes, self.calm_minutes = True, 0, 0
            self.recurrence += 1.0
            return "began"
        self.age_minutes += 1
        if verdict == "calm":
            self.calm_minutes += 1
        elif verdict != "unknown":
            self.calm_minutes = 0
        if self.calm_minutes >= CALM_MINUTES:
            self.active, self.clean_minutes = False, self.calm_minutes
            return "ended"
        if self.age_minutes >= max_minutes:
            self.active, self.clean_minutes = False, NEVER
            return "outlived"
        return None

    @property
    def is_recurrent(self) -> bool:
        """Whether it began so often lately (five times, half an hour apart) that it belongs to the normal."""
        return self.recurrence >= _RECURRENT
