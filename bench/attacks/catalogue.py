"""All attacks, in the order in which they run."""

from typing import Final

from bench.attacks.attack import Attack
from bench.attacks.calls import CALLS
from bench.attacks.connections import CONNECTIONS
from bench.attacks.heads import HEADS
from bench.attacks.responses import RESPONSES

ATTACKS: Final[tuple[Attack, ...]] = (*CONNECTIONS, *HEADS, *CALLS, *RESPONSES)


def find_attack(name: str) -> Attack:
    """Return the attack of this name; raises KeyError."""
    for attack in ATTACKS:
        if attack.name == name:
            return attack
    raise KeyError(name)
