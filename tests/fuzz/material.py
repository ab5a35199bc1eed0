"""What Hypothesis makes up for one batch, in a process of its own.

Hypothesis also draws from the constants of whatever modules its process has imported so far. In the
process of the fuzz, or of a whole test run, these change from one moment to the next, and the same
seed would not make the same inputs.
"""

import json
import os
import subprocess
import sys
from typing import Any, Final

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.fuzz.hostile_values import Material

_KEYS: Final = st.one_of(
    st.sampled_from(("model", "messages", "stream", "usage", "id", "error", "choices", "content", "role", "")),
    st.text(max_size=8),
)
_SCALARS: Final = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=40)
    | st.text(st.characters(codec=None), max_size=12)
)
_VALUES: Final = st.recursive(
    _SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_KEYS, inner, max_size=4), max_leaves=12
)
_MATERIAL: Final = st.tuples(
    _VALUES, st.text(max_size=60) | st.text(st.characters(codec=None), max_size=20), st.binary(max_size=120)
)


def make_material(batch_seed: int, examples: int) -> Material:
    """Return the values of one batch; the same seed makes the same, in every process."""
    command = [sys.executable, "-m", "tests.fuzz.material", str(batch_seed), str(examples)]
    made = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=os.environ | {"PYTHONHASHSEED": "0"}).stdout
    values, texts, blobs = json.loads(made)
    return Material(values, texts, [bytes.fromhex(blob) for blob in blobs])


def draw_material(batch_seed: int, examples: int) -> Material:
    """Let Hypothesis make up the values of one batch, from this process's constants."""
    material = Material([], [], [])

    @seed(batch_seed)
    @settings(
        max_examples=examples,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(_MATERIAL)
    def collect(example: tuple[Any, str, bytes]) -> None:
        value, text, blob = example
        material.values.append(json.dumps(value, ensure_ascii=len(text) % 2 == 0 or not _is_encodable(value)))
        material.texts.append(text)
        material.blobs.append(blob)

    collect()
    return material


def _is_encodable(value: object) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


if __name__ == "__main__":
    drawn = draw_material(int(sys.argv[1]), int(sys.argv[2]))
    # With ASCII alone, lone surrogates come through the pipe too.
    json.dump((drawn.values, drawn.texts, [blob.hex() for blob in drawn.blobs]), sys.stdout)
