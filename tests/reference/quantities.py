"""Expected results of queries: numbers by labels, each exact or between two bounds, and the arithmetic of PromQL on them."""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Final, TypeAlias

import msgspec

Labels: TypeAlias = tuple[tuple[str, str], ...]
RELATIVE: Final = 1e-9
"""What sums of binary fractions in another order may differ by."""


class Number(msgspec.Struct, frozen=True):
    """A number between two bounds, which are the same where it is exact."""

    low: float
    high: float

    @classmethod
    def exact(cls, value: float) -> "Number":
        """Return a number that is known."""
        return cls(value, value)

    @property
    def is_exact(self) -> bool:
        """Whether the bounds are the same."""
        return self.low == self.high or math.isnan(self.low)

    def allows(self, found: float) -> bool:
        """Whether a result is this number, or between its bounds. NaN is equal to itself."""
        if math.isnan(self.low) or math.isnan(found):
            return math.isnan(self.low) and math.isnan(found)
        slack = RELATIVE * max(abs(self.low), abs(self.high), 1e-3)
        return self.low - slack <= found <= self.high + slack

    def __str__(self) -> str:
        return f"{self.low:.10g}" if self.is_exact else f"{self.low:.6g} to {self.high:.6g}"


class Expected(msgspec.Struct, frozen=True):
    """What a query returns. `most`: only so many of the largest, whichever of those that are equal."""

    values: Mapping[Labels, Number]
    most: int | None = None

    def times(self, factor: float) -> "Expected":
        """Multiply each value with a positive number."""
        return self._each(lambda value: Number(value.low * factor, value.high * factor))

    def over(self, other: "Expected") -> "Expected":
        """Divide by the values with the same labels; a label set that one side lacks is left out."""
        return Expected(
            {
                labels: Number(
                    _ratio(value.low, other.values[labels].high), _ratio(value.high, other.values[labels].low)
                )
                for labels, value in self.values.items()
                if labels in other.values
            }
        )

    def plus(self, other: "Expected") -> "Expected":
        """Add the values with the same labels."""
        return Expected(
            {
                labels: Number(value.low + other.values[labels].low, value.high + other.values[labels].high)
                for labels, value in self.values.items()
                if labels in other.values
            }
        )

    def if_absent(self, other: "Expected") -> "Expected":
        """Return these values, and the other's for further labels: PromQL's `or`."""
        return Expected({**other.values, **self.values})

    def only(self, keeps: Callable[[float], bool]) -> "Expected":
        """Return the values that pass a comparison; raises ValueError where the bounds leave that open."""
        kept = {}
        for labels, value in self.values.items():
            if keeps(value.low) != keeps(value.high):
                raise ValueError(f"{labels} is {value}: the comparison is open")
            if keeps(value.low):
                kept[labels] = value
        return Expected(kept)

    def top(self, most: int) -> "Expected":
        """Return the largest values: PromQL's `topk`."""
        return Expected(self.values, most)

    def average(self) -> "Expected":
        """Return the mean of all values."""
        values = list(self.values.values())
        return Expected(
            {
                (): Number(
                    sum(each.low for each in values) / len(values), sum(each.high for each in values) / len(values)
                )
            }
        )

    def grouped(self, by: tuple[str, ...], choose: Callable[[Iterable[float]], float]) -> "Expected":
        """Return one value for each combination of labels: the sum, the smallest, the largest."""
        groups: dict[Labels, list[Number]] = {}
        for labels, value in self.values.items():
            groups.setdefault(tuple((key, text) for key, text in labels if key in by), []).append(value)
        return Expected(
            {
                labels: Number(choose(each.low for each in values), choose(each.high for each in values))
                for labels, values in groups.items()
            }
        )

    def _each(self, change: Callable[[Number], Number]) -> "Expected":
        return Expected({labels: change(value) for labels, value in self.values.items()}, self.most)


def _ratio(one: float, other: float) -> float:
    if other == 0:
        return math.nan if one == 0 else math.inf
    return one / other


def problems(expected: Expected, found: Mapping[Labels, float]) -> list[str]:
    """Return how a result differs from what is expected; nothing where it does not."""
    values = expected.values
    lines = [f"{_text(labels)} was not expected" for labels in found.keys() - values.keys()]
    lines += [
        f"{_text(labels)} is {found[labels]:.10g} instead of {value}"
        for labels, value in values.items()
        if labels in found and not value.allows(found[labels])
    ]
    if expected.most is None:
        return lines + [f"{_text(labels)} is missing" for labels in values.keys() - found.keys()]
    wanted = sorted((each.high for each in values.values()), reverse=True)[: expected.most]
    got = sorted(found.values(), reverse=True)
    if len(got) != len(wanted):
        return [*lines, f"{len(got)} series instead of {len(wanted)}"]
    least = sorted((each.low for each in values.values()), reverse=True)[: expected.most]
    return lines + [
        f"place {place} is {value:.10g} instead of {Number(low, high)}"
        for place, (value, low, high) in enumerate(zip(got, least, wanted, strict=True), 1)
        if not Number(low, high).allows(value)
    ]


def _text(labels: Labels) -> str:
    return "{" + ", ".join(f"{key}={value}" for key, value in labels) + "}"
