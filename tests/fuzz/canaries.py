"""Canaries: words that stand for secrets and prompt text in hostile inputs, and must be found in no signal of the gateway.

Every word begins with one stem in lower case and holds only letters, so that no JSON, percent or
label escaping can hide it.
"""

import base64
from typing import Final

import msgspec

STEM: Final = "zqcanary"

PROMPT: Final = f"{STEM}prompt"
ANSWER: Final = f"{STEM}answer"
TOKEN: Final = f"{STEM}token"
HEADER: Final = f"{STEM}header"
PATH: Final = f"{STEM}path"
MODEL: Final = f"{STEM}model"
PROVIDER_SAYS: Final = f"{STEM}provider"
"""In what a provider says of itself (ids, model names, finish reasons), inside prose: such text must not reach a span."""

BASIC: Final = base64.b64encode(f"{STEM}:{STEM}basic".encode()).decode()
"""Credentials of the Basic scheme."""

_CONTEXT_BYTES: Final = 60


class Keys(msgspec.Struct, frozen=True, kw_only=True):
    """The real secrets: API keys without limits, of a plan with limits, and revoked; and the token of the monitoring endpoints."""

    main: str
    limited: str
    revoked: str
    monitoring: str

    @property
    def all(self) -> tuple[str, ...]:
        """Every one of them."""
        return (self.main, self.limited, self.revoked, self.monitoring)

    def hide(self, data: bytes) -> bytes:
        """Return the bytes with names in place of the secrets."""
        for name in self.__struct_fields__:
            data = data.replace(getattr(self, name).encode(), f"<{name} key>".encode())
        return data


class Leaks:
    """Looks for canaries and for the real secrets in what leaves the gateway."""

    def __init__(self, keys: Keys) -> None:
        self._needles = (STEM.encode(), BASIC.lower().encode(), *(key.lower().encode() for key in keys.all))
        self.found: list[str] = []

    def search(self, where: str, data: bytes) -> None:
        """Keep the first places where something was found, with what stands around them."""
        lowered = data.lower()
        for needle in self._needles:
            position = lowered.find(needle)
            if position >= 0 and len(self.found) < 20:
                around = data[max(0, position - _CONTEXT_BYTES) : position + len(needle) + _CONTEXT_BYTES]
                self.found.append(f"{where}: {around!r}")
