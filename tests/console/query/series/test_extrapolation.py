"""How far samples speak for the time around them, at the edge of Prometheus' rule."""

import pytest

from console.query.series.extrapolation import Reach, Sampled, reach


@pytest.mark.parametrize(
    ("last_ms", "to_end"),
    [
        # 12 samples in 160 s: 1.1 of their distances are 16 s, as Prometheus computes them in seconds.
        (164_000, 160_000 / 11 / 2),
        (164_001, 15_999.0),
    ],
)
def test_a_sample_is_near_an_end_below_its_bound_in_seconds(last_ms: int, to_end: float) -> None:
    found = reach(Sampled(first_ms=4_000, last_ms=last_ms, samples=12), 0, 180_000)
    assert found == Reach(float(last_ms - 4_000), 4_000.0, pytest.approx(to_end))
