"""The result of a comparison; plain structs."""

import msgspec


class Line(msgspec.Struct, frozen=True):
    """One comparison: what is compared, the count of the traffic program, the count of the other side.

    Money is in nano-US-dollars. `spare`: how much more the other side may report, because requests of unexpected clients
    leave it open.
    """

    what: str
    expected: int
    reported: int
    spare: int = 0

    @property
    def is_equal(self) -> bool:
        """Whether both counts agree."""
        return self.expected <= self.reported <= self.expected + self.spare


class Findings(msgspec.Struct, frozen=True):
    """The whole table, the mismatches between plans and observations, and notes on what is not in the table."""

    lines: tuple[Line, ...]
    mismatches: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def differences(self) -> tuple[Line, ...]:
        """The lines whose counts differ."""
        return tuple(line for line in self.lines if not line.is_equal)

    @property
    def is_good(self) -> bool:
        """Whether there are lines, all lines are equal, and no request had a mismatch."""
        return bool(self.lines) and not self.differences and not self.mismatches
