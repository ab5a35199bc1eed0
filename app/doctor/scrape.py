"""Reads a server's own metrics from text format 0.0.4.

Lines that cannot be parsed are skipped: the format itself is not checked here.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

_SAMPLE: Final = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})?\s+(\S+)")
_LABEL: Final = re.compile(r'"?([^\s",={}]+)"?\s*=\s*"((?:[^"\\]|\\.)*)"')
_ESCAPES: Final = {r"\\": "\\", r"\"": '"', r"\n": "\n"}

TEXT_FORMAT: Final = "text/plain;version=0.0.4"
"""The `Accept` header."""


class Sample(msgspec.Struct, frozen=True):
    """One series and its value."""

    labels: Mapping[str, str]
    value: float


class Scrape(msgspec.Struct, frozen=True):
    """Everything in one `/metrics` body. `types` has the declared type by family; `samples`, the series by sample name."""

    types: Mapping[str, str]
    samples: Mapping[str, tuple[Sample, ...]]

    @property
    def series(self) -> int:
        """How many series there are."""
        return sum(map(len, self.samples.values()))

    def matching(self, name: str, **labels: str) -> list[Sample]:
        """Return the series of this name that have these labels; a counter's `_total` may be there or not."""
        found = self.samples.get(name) or self.samples.get(f"{name}_total") or ()
        return [each for each in found if all(each.labels.get(key) == value for key, value in labels.items())]

    def total(self, name: str, **labels: str) -> float | None:
        """Return the sum of these series; None where there is none."""
        found = self.matching(name, **labels)
        return sum(each.value for each in found) if found else None


def growth(before: Scrape | None, after: Scrape | None, name: str, **labels: str) -> float:
    """Return by how much the sum of these series grew; what was not there before counts from 0."""
    if after is None:
        return 0.0
    then = (before.total(name, **labels) if before is not None else None) or 0.0
    return (after.total(name, **labels) or 0.0) - then


def parse_scrape(body: str) -> Scrape:
    """Read a body."""
    types: dict[str, str] = {}
    samples: dict[str, list[Sample]] = {}
    for line in body.splitlines():
        if line.startswith("# TYPE "):
            name, _, declared = line.removeprefix("# TYPE ").partition(" ")
            types[name] = declared.strip()
        elif not line.startswith("#") and (found := _SAMPLE.match(line)):
            try:
                value = float(found[3])
            except ValueError:
                continue
            samples.setdefault(found[1], []).append(Sample(dict(_labels(found[2] or "")), value))
    return Scrape(types, {name: tuple(each) for name, each in samples.items()})


def _labels(text: str) -> Iterable[tuple[str, str]]:
    for name, value in _LABEL.findall(text):
        yield name, re.sub(r"\\.", lambda escape: _ESCAPES.get(escape[0], escape[0]), value)
