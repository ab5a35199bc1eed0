"""Trace state: what of a caller's `tracestate` header may go onto spans and to providers.

W3C lets a value hold spaces and nearly any character, so it can carry a prompt. Only a list of
short tokens passes, as tracing systems write them; anything else is dropped as a whole, and the
trace goes on without it, as the specification allows.
"""

import re
from collections.abc import Mapping
from typing import Final

from otel.redaction import redact

TRACE_STATE: Final = "tracestate"
MAX_CHARS: Final = 512
"""What the specification asks to be propagated at least."""

_MEMBER: Final = r"[a-z0-9][a-z0-9_*/@-]{0,63}=[A-Za-z0-9._:;/+~|@-]{1,128}"
_MEMBERS: Final = re.compile(rf"{_MEMBER}(?:[ \t]{{0,4}},[ \t]{{0,4}}{_MEMBER}){{0,31}}")


def without_free_text(headers: Mapping[str, str]) -> Mapping[str, str]:
    """Return the trace context headers, without a trace state that is not a list of tokens or that looks like a secret."""
    state = headers.get(TRACE_STATE)
    if state is None or (len(state) <= MAX_CHARS and _MEMBERS.fullmatch(state) and redact(state) == state):
        return headers
    return {name: value for name, value in headers.items() if name != TRACE_STATE}
