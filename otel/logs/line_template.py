"""The fields of a log line, and templates for lines that differ in a few of their values."""

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec


class Line(msgspec.Struct, omit_defaults=True, kw_only=True):
    """The fields that every line begins with; a subclass has more. `timestamp` is set by the writer."""

    timestamp: str = ""
    level: str
    logger: str
    message: str


class LineTemplate(NamedTuple):
    """Lines that differ in some values: the seconds of the timestamp as text, its microseconds, then the others.

    `parts` are the texts before, between and after the values, each followed by the place of one. `form` puts parts
    and values together by `%`: what does not differ is copied, while `%` reads a long format character by character.
    """

    level: str
    form: str
    parts: list[str | float]

    def line(self, values: tuple[str | float, ...]) -> str:
        """Return the line with these values."""
        parts = self.parts.copy()
        parts[1::2] = values
        return self.form % tuple(parts)


_TIMESTAMP: Final = '"timestamp":"'


def line_template(line: Line, varying: Mapping[str, str]) -> LineTemplate:
    """Return the template of lines like this one, which has values for all `varying` fields.

    `varying` holds for each name the format of its values, in the order of the line's fields.
    """
    line.timestamp = "-"
    before, _, text = msgspec.json.encode(line).decode().partition(f"{_TIMESTAMP}-")
    parts: list[str | float] = [before + _TIMESTAMP, 0, ".", 0]
    forms = ["%s%s%s%06d"]
    text = "Z" + text
    for name, form in varying.items():
        # No text has such a beginning of a member in it: its quotes are escaped.
        found = re.split(rf'(?<="{name}":)[^,}}]+', text)
        if len(found) != 2:  # noqa: PLR2004  before and after the value
            raise ValueError(f"{name} is not a field of the line")
        parts += (found[0], 0)
        forms.append("%s" + form)
        text = found[1]
    return LineTemplate(line.level, "".join((*forms, "%s")), [*parts, text])
