"""Which of a caller's `tracestate` headers may reach spans and providers.

W3C allows spaces and nearly any character in a value, so it can carry a prompt. Only a list of
short tokens passes, as tracing systems write them. Any other trace state is dropped as a whole,
which the specification allows; the trace continues without it.
"""

import re
from collections.abc import Mapping
from typing import Final

from otel.redaction import redact

TRACE_STATE: Final = "tracestate"
MAX_CHARS: Final = 512
"""The specification requires that at least this much is propagated."""

_MEMBER: Final = r"[a-z0-9][a-z0-9_*/@-]{0,63}=[A-Za-z0-9._:;/+~|@-]{1,128}"
_MEMBERS: Final = re.compile(rf"{_MEMBER}(?:[ \t]{{0,4}},[ \t]{{0,4}}{_MEMBER}){{0,31}}")


def without_free_text(headers: Mapping[str, str]) -> Mapping[str, str]:
    """Return the headers without a trace state that is no list of tokens or looks like a secret."""
    state = headers.get(TRACE_STATE)
    if state is None or (len(state) <= MAX_CHARS and _MEMBERS.fullmatch(state) and redact(state) == state):
        return headers
    return {name: value for name, value in headers.items() if name != TRACE_STATE}
