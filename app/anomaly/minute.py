"""The eleven sums that describe one minute of attempts.

Sums can be added (a provider's minute is the sum of its routes' minutes) and subtracted (a window is
the difference of two running totals), so that no later step costs more with more traffic.
"""

import math
from typing import Final

import msgspec

UNITS: Final = 1_000
"""Logarithms are summed as integers, in thousandths: running totals stay exact, and short where they are stored."""

MIN_SLOWDOWN: Final = -1.5
MAX_SLOWDOWN: Final = 2.0
"""Where the logarithm of duration / expected duration is cut: one stuck request must not look like sixty slow ones."""


class Minute(msgspec.Struct, array_like=True):
    """Sums over attempts, of one minute or running.

    `attempts` all that ended; `judged` those that count for or against the provider, `failures` of them; `paced` successes whose duration
    could be compared, with the sums of the natural logarithm of duration / expected duration; `metered` successes with a token count, with
    the sums of log(1 + tokens). Logarithms are in `1 / UNITS`, squares in `1 / UNITS ** 2`.
    """

    attempts: int = 0
    judged: int = 0
    failures: int = 0
    paced: int = 0
    slowdown_sum: int = 0
    slowdown_square_sum: int = 0
    metered: int = 0
    input_log_sum: int = 0
    input_log_square_sum: int = 0
    output_log_sum: int = 0
    output_log_square_sum: int = 0

    def add_success(self, slowdown_ratio: float | None, input_tokens: int, output_tokens: int) -> None:
        """Count a success; `slowdown_ratio` is duration / expected duration, None where nothing is expected yet."""
        self.attempts += 1
        self.judged += 1
        if slowdown_ratio is not None:
            logarithm = math.log(max(slowdown_ratio, 1e-9))
            slowdown = int(min(max(logarithm, MIN_SLOWDOWN), MAX_SLOWDOWN) * UNITS)
            self.paced += 1
            self.slowdown_sum += slowdown
            self.slowdown_square_sum += slowdown * slowdown
        if input_tokens or output_tokens:
            input_log = int(math.log1p(input_tokens) * UNITS)
            output_log = int(math.log1p(output_tokens) * UNITS)
            self.metered += 1
            self.input_log_sum += input_log
            self.input_log_square_sum += input_log * input_log
            self.output_log_sum += output_log
            self.output_log_square_sum += output_log * output_log

    def add_failure(self) -> None:
        """Count a failure of the provider."""
        self.attempts += 1
        self.judged += 1
        self.failures += 1

    def add_unjudged(self) -> None:
        """Count an attempt that does not describe the provider: its client left, or the request was at fault."""
        self.attempts += 1

    def plus(self, other: "Minute") -> "Minute":
        """Return the sum of two."""
        return Minute(
            self.attempts + other.attempts,
            self.judged + other.judged,
            self.failures + other.failures,
            self.paced + other.paced,
            self.slowdown_sum + other.slowdown_sum,
            self.slowdown_square_sum + other.slowdown_square_sum,
            self.metered + other.metered,
            self.input_log_sum + other.input_log_sum,
            self.input_log_square_sum + other.input_log_square_sum,
            self.output_log_sum + other.output_log_sum,
            self.output_log_square_sum + other.output_log_square_sum,
        )
