"""What an attack is."""

from collections.abc import Awaitable, Callable
from typing import Literal, TypeAlias

import msgspec

from bench.attacks.target import Target

Who: TypeAlias = Literal["no key", "one key"]


class Attack(msgspec.Struct, frozen=True):
    """One attack. `act` attacks until the target's time is over."""

    name: str
    who: Who
    what: str
    act: Callable[[Target], Awaitable[None]]
