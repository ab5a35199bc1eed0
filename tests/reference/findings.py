"""The result of holding the reference to real data; plain structs."""

from typing import Literal, TypeAlias

import msgspec

Form: TypeAlias = Literal["as written", "corrected"]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One query in one form. `refusal` is what parser and server say of it; `problems` how the result differs; `value` what it is."""

    part: Literal["PromQL", "LogQL", "alert", "panel", "variable"]
    name: str
    form: Form
    query: str
    refusal: str = ""
    value: str = ""
    problems: tuple[str, ...] = ()

    @property
    def is_good(self) -> bool:
        """Whether it is answered, with the expected value."""
        return not self.refusal and not self.problems


class Findings(msgspec.Struct, frozen=True, kw_only=True):
    """All of them, and what does not belong to one query alone."""

    findings: tuple[Finding, ...]
    problems: tuple[str, ...] = ()

    def of(self, part: str, form: Form) -> tuple[Finding, ...]:
        """Return those of a part of the document in one form."""
        return tuple(each for each in self.findings if (each.part, each.form) == (part, form))
