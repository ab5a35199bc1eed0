"""FINDINGS: what a comparison of books found; plain structs.

Comes in: nothing. Goes out: `Line` and `Findings`, from `demo/reconcile.py` to
`demo/output/screen.py`.
"""

import msgspec


class Line(msgspec.Struct, frozen=True):
    """One comparison: what, what the books say, what the other side says. Money in nano-US-dollars.

    `spare`: how much more the other side may say, where requests of others left it open.
    """

    what: str
    books: int
    other: int
    spare: int = 0

    @property
    def is_equal(self) -> bool:
        """Whether both say the same."""
        return self.books <= self.other <= self.books + self.spare


class Findings(msgspec.Struct, frozen=True):
    """The whole table, what surprised the traffic program, and notes on what is not in the table."""

    lines: tuple[Line, ...]
    surprises: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def differences(self) -> tuple[Line, ...]:
        """The lines whose numbers differ."""
        return tuple(line for line in self.lines if not line.is_equal)

    @property
    def is_good(self) -> bool:
        """Whether every line is equal, there are lines at all, and nothing surprised."""
        return bool(self.lines) and not self.differences and not self.surprises
