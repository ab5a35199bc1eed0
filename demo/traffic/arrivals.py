"""Reads when requests came to a production service, and how many tokens they took.

The source is the Azure LLM inference trace (`demo/traffic/data/README.md`). The trace repeats indefinitely. Only its
long silences are shortened.
"""

import csv
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

TRACE: Final = Path(__file__).resolve().parent / "data" / "azure-llm-inference-2023-code.csv"
DEFAULT_SPEED: Final = 4.0
MAX_GAP_SECONDS: Final = 1.0
"""Of the trace's own time; the trace has silences of minutes."""

_MICROSECOND_DIGITS: Final = 26  # of a timestamp; the trace has one digit more


class Arrival(msgspec.Struct, frozen=True):
    """One request: seconds since the start of the trace with its silences shortened, prompt tokens, generated tokens."""

    at_seconds: float
    input_tokens: int
    output_tokens: int


def read_trace(path: Path = TRACE, max_gap_seconds: float = MAX_GAP_SECONDS) -> list[Arrival]:
    """Read the trace; raises ValueError where it is empty."""
    arrivals: list[Arrival] = []
    elapsed_seconds = 0.0
    last: datetime | None = None
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            moment = datetime.fromisoformat(row["TIMESTAMP"][:_MICROSECOND_DIGITS])
            if last is not None:
                elapsed_seconds += min((moment - last).total_seconds(), max_gap_seconds)
            last = moment
            arrivals.append(Arrival(elapsed_seconds, int(row["ContextTokens"]), int(row["GeneratedTokens"])))
    if not arrivals:
        raise ValueError(f"{path} holds no requests")
    return arrivals


def replay(trace: Sequence[Arrival], speed: float) -> Iterator[Arrival]:
    """Return the arrivals at `speed` times their pace, repeated indefinitely."""
    length_seconds = trace[-1].at_seconds + MAX_GAP_SECONDS
    start_seconds = 0.0
    while True:
        for arrival in trace:
            yield Arrival((start_seconds + arrival.at_seconds) / speed, arrival.input_tokens, arrival.output_tokens)
        start_seconds += length_seconds
