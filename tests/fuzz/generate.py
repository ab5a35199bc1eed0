"""Makes the inputs of one batch from the run's seed and the batch's number: the same two make the same inputs."""

import random

from tests.fuzz.canaries import Keys
from tests.fuzz.inputs import Input
from tests.fuzz.lie_inputs import LieInputs
from tests.fuzz.material import make_material
from tests.fuzz.raw_inputs import RawInputs
from tests.fuzz.request_inputs import RequestInputs

WILD_SHARE = 0.3
LIE_SHARE = 0.25
HYPOTHESIS_SHARE = 0.16


def make_batch(seed: int, number: int, size: int, keys: Keys) -> tuple[list[Input], list[Input]]:
    """Return the tame and the wild inputs of a batch, together `size`."""
    rng = random.Random(f"{seed}:{number}")
    material = make_material(rng.getrandbits(64), max(50, int(size * HYPOTHESIS_SHARE)))
    requests = RequestInputs(rng, material, keys)
    lies = LieInputs(rng, material, requests)
    raw = RawInputs(rng, material, requests, lies, keys)
    wild = [raw.one() for _ in range(int(size * WILD_SHARE))]
    tame = [lies.one() if rng.random() < LIE_SHARE else requests.one() for _ in range(size - len(wild))]
    return tame, wild
