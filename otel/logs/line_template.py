"""The fields of a log line, and templates for lines that differ in a few of their values."""

import re
from collections.abc import Mapping
from typing import NamedTuple

import msgspec


class Line(msgspec.Struct, omit_defaults=True, kw_only=True):
    """The fields that every line begins with; a subclass has more. `timestamp` is set by the writer."""

    timestamp: str = ""
    level: str
    logger: str
    message: str


class LineTemplate(NamedTuple):
    """The text of lines that differ in some values, for `%`: the timestamp first."""

    level: str
    text: str


def line_template(line: Line, varying: Mapping[str, str]) -> LineTemplate:
    """Return the template of lines like this one, which has values for all `varying` fields.

    `varying` holds for each name the format of its values, in the order of the line's fields.
    """
    line.timestamp = "-"
    text = msgspec.json.encode(line).decode().replace("%", "%%")
    for name, form in {"timestamp": '"%s"', **varying}.items():
        # No text has such a beginning of a member in it: its quotes are escaped.
        text, found = re.subn(rf'"{name}":[^,}}]+', f'"{name}":{form}', text)
        if found != 1:
            raise ValueError(f"{name} is not a field of the line")
    return LineTemplate(line.level, text)
