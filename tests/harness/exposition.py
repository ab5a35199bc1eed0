"""Reads a Prometheus text exposition (format 0.0.4) into samples.

It shares no code with the gateway's writer, so that it cannot share its mistakes. It reads no timestamps and no
exemplars: format 0.0.4 as requested here has none.
"""

import re
from typing import Final, TypeAlias

import aiohttp

Series: TypeAlias = tuple[str, tuple[tuple[str, str], ...]]
"""A sample: its name and its labels, sorted by key."""

ACCEPT: Final = "text/plain;version=0.0.4"
_SAMPLE: Final = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)")
_LABEL: Final = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)",?')
_ESCAPE: Final = re.compile(r"\\(.)")


def read_exposition(text: str) -> dict[Series, float]:
    """Return the samples; raises ValueError for a line that is not a sample, and for a duplicate sample."""
    samples: dict[Series, float] = {}
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        sample = _SAMPLE.fullmatch(line)
        if sample is None:
            raise ValueError(f"not a sample: {line}")
        name, labels, value = sample.groups()
        key = (name, _read_labels(labels or "", line))
        if key in samples:
            raise ValueError(f"duplicate sample: {line}")
        samples[key] = float(value)
    return samples


def _read_labels(text: str, line: str) -> tuple[tuple[str, str], ...]:
    pairs = []
    position = 0
    while position < len(text):
        label = _LABEL.match(text, position)
        if label is None:
            raise ValueError(f"not a label: {line}")
        pairs.append((label[1], _ESCAPE.sub(lambda escape: "\n" if escape[1] == "n" else escape[1], label[2])))
        position = label.end()
    return tuple(sorted(pairs))


async def scrape(session: aiohttp.ClientSession, gateway_url: str) -> dict[Series, float]:
    """Read `/metrics` now; raises `aiohttp.ClientError`."""
    async with session.get(f"{gateway_url}/metrics", headers={"accept": ACCEPT}) as response:
        response.raise_for_status()
        return read_exposition(await response.text())
