"""Texts in files of comma-separated values, which people open in spreadsheets."""

import re
from typing import Final

_FORMULA: Final = re.compile(r"\A(?=[\t\r\n])|(?:\A|(?<=[;\t\r\n]))(?= {0,4}[=+\-@\uff1d\uff0b\uff0d\uff20])")
"""Where a formula may begin: at the start, and behind what separates cells where a spreadsheet takes no comma for it."""


def inert(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula: with an apostrophe before it (OWASP, "CSV Injection")."""
    return _FORMULA.sub("'", text)
