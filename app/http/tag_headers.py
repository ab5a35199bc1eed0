"""Reads the tags of a call from the request headers that the configuration names.

A tag is for the ledger, the log line and reports; it is never a label of a metric. Raises
`InvalidRequestError` for a value that is not allowed: a call that cannot be attributed is refused,
not counted under nothing.
"""

import re
from collections.abc import Mapping
from typing import Final

from app.errors import InvalidRequestError
from otel.instrument.asgi import Scope

_VALUE: Final = re.compile(rb"[A-Za-z0-9][A-Za-z0-9 ._:/@+-]{0,63}")


class TagHeaders:
    """The headers by the name of their tag. Headers that are not named here are not read."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._names = {header.lower().encode(): name for name, header in headers.items()}

    def read(self, scope: Scope) -> dict[str, str]:
        """Return the tags of a request; a header that is absent or empty is no tag."""
        tags: dict[str, str] = {}
        if not self._names:
            return tags
        for header, value in scope["headers"]:
            name = self._names.get(header)
            if name is None or not value:
                continue
            if name in tags or not _VALUE.fullmatch(value):
                raise InvalidRequestError(
                    f"The header {header.decode('latin-1')} must be there once, with 1 to 64 letters, digits, blanks or . _ : / @ + -,"
                    " a letter or digit first."
                )
            tags[name] = value.decode("ascii")
        return tags
