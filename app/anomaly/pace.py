"""Learns how long a route usually takes for so many tokens.

The expected duration is `fixed + per_input_token * input + per_output_token * output`, so that long
responses do not count as slow. It is fitted by weighted least squares on relative errors; durations
far from the expected are cut first, so that heavy tails do not move it.
"""

from typing import Final

import msgspec

FIRST_FIT_ATTEMPTS: Final = 48
"""Attempts that are kept as they are, and fitted together, before anything is expected."""

_TYPICAL: Final = (0.3, 0.0002, 0.02)
"""Seconds, per input token, per output token: only the scale on which the three are compared and pulled together where data is thin."""
_MIN_SHARE: Final = 0.02
_CUT: Final = 3.0
_FIRST_FIT_ROUNDS: Final = 8
_SWEEPS: Final = 6
_REFIT_ATTEMPTS: Final = 32
_KEPT_PER_REFIT: Final = 1 - _REFIT_ATTEMPTS / 4_000


class Pace(msgspec.Struct):
    """What is known of one route. `multipliers` scale the three typical parts; the rest are decayed sums of the least squares."""

    first: list[tuple[int, int, float]] = []
    multipliers: list[float] = []
    products: list[float] = msgspec.field(default_factory=lambda: [0.0] * 6)
    targets: list[float] = msgspec.field(default_factory=lambda: [0.0] * 3)
    scale: float = 1.0
    unfitted: int = 0

    def expected_seconds(self, input_tokens: int, output_tokens: int) -> float | None:
        """Return the usual duration; None until enough attempts were seen."""
        if not self.multipliers:
            return None
        fixed, by_input, by_output = self.multipliers
        return fixed * _TYPICAL[0] + by_input * _TYPICAL[1] * input_tokens + by_output * _TYPICAL[2] * output_tokens

    def learn(self, input_tokens: int, output_tokens: int, duration_seconds: float) -> None:
        """Take one attempt into account."""
        if not self.multipliers:
            self.first.append((input_tokens, output_tokens, duration_seconds))
            if len(self.first) >= FIRST_FIT_ATTEMPTS:
                self._first_fit()
            return
        self._add(input_tokens, output_tokens, duration_seconds)
        self.unfitted += 1
        if self.unfitted >= _REFIT_ATTEMPTS:
            self.products = [total * _KEPT_PER_REFIT for total in self.products]
            self.targets = [total * _KEPT_PER_REFIT for total in self.targets]
            self._fit()

    def _first_fit(self) -> None:
        """Start from the typical shape, scaled to the median attempt, and refit with ever better weights."""
        self.multipliers = [1.0, 1.0, 1.0]
        ratios = sorted(seconds / (self.expected_seconds(put, got) or 1.0) for put, got, seconds in self.first)
        self.scale = max(ratios[len(ratios) // 2], 1e-6)
        self.multipliers = [self.scale] * 3
        for _ in range(_FIRST_FIT_ROUNDS):
            self.products, self.targets = [0.0] * 6, [0.0] * 3
            for put, got, seconds in self.first:
                self._add(put, got, seconds)
            self._fit()
        self.first = []

    def _add(self, input_tokens: int, output_tokens: int, duration_seconds: float) -> None:
        """Add one row to the sums, divided by what is expected: relative errors count, not seconds."""
        expected = self.expected_seconds(input_tokens, output_tokens) or 1.0
        relative = min(max(duration_seconds / expected, 1 / _CUT), _CUT)
        fixed = _TYPICAL[0] / expected
        by_input = _TYPICAL[1] * input_tokens / expected
        by_output = _TYPICAL[2] * output_tokens / expected
        products, targets = self.products, self.targets
        products[0] += fixed * fixed
        products[1] += fixed * by_input
        products[2] += fixed * by_output
        products[3] += by_input * by_input
        products[4] += by_input * by_output
        products[5] += by_output * by_output
        targets[0] += fixed * relative
        targets[1] += by_input * relative
        targets[2] += by_output * relative

    def _fit(self) -> None:
        """Solve for the multipliers by projected Gauss-Seidel sweeps: never negative, and pulled to one scale where data is thin."""
        self.unfitted = 0
        ff, fi, fo, ii, io, oo = self.products
        tf, ti, to = self.targets
        pull = 1 / (self.scale * self.scale)
        least = _MIN_SHARE * self.scale
        fixed, by_input, by_output = self.multipliers
        for _ in range(_SWEEPS):
            fixed = max(least, (tf + pull * self.scale - fi * by_input - fo * by_output) / (ff + pull))
            by_input = max(least, (ti + pull * self.scale - fi * fixed - io * by_output) / (ii + pull))
            by_output = max(least, (to + pull * self.scale - fo * fixed - io * by_input) / (oo + pull))
        self.multipliers = [fixed, by_input, by_output]
