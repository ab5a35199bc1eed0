"""Sends hostile OTLP requests to a console's endpoint and reads back all that it stored.

No request may get a 5xx, nothing stored may be unreadable, and the file stays under its cap.
"""

import random
from collections import Counter
from pathlib import Path

import httpx
import msgspec

from console.store.limits import MIB, Limits
from console.store.read_logs import read_log_records, read_requests, search_log_ids
from console.store.read_metrics import (
    read_exemplars,
    read_exponentials,
    read_families,
    read_histograms,
    read_numbers,
    read_series,
    read_summaries,
)
from console.store.read_traces import read_resource, read_spans
from tests.fuzz.console_inputs import make_input
from tests.fuzz.hostile_values import TEXTS
from tests.harness.console import OpenConsole, log_record, logs, open_console

_LIMITS = Limits(max_bytes=64 * MIB, max_spans=2_000, max_log_records=2_000, max_points=5_000, max_series=1_000)
_EXPECTED = frozenset({200, 400, 403, 404, 405, 413, 415})


class ConsoleReport(msgspec.Struct, kw_only=True):
    """What a run found."""

    inputs: int
    seed: int
    kinds: Counter[str]
    statuses: Counter[int]
    stored: dict[str, int]
    problems: list[str]


async def fuzz_console(folder: Path, *, inputs: int, seed: int) -> ConsoleReport:
    """Run the fuzz; the same seed sends the same requests."""
    rng = random.Random(seed)
    kinds: Counter[str] = Counter()
    statuses: Counter[int] = Counter()
    problems: list[str] = []
    largest = 0
    with open_console(folder, _LIMITS) as console:
        transport = httpx.ASGITransport(console.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:4318") as client:
            for number in range(inputs):
                made = make_input(rng)
                response = await client.post(made.path, content=made.body, headers=list(made.headers))
                kinds[made.kind] += 1
                statuses[response.status_code] += 1
                if response.status_code not in _EXPECTED:
                    problems.append(
                        f"input {number} ({made.kind}, {made.path}): {response.status_code} {response.content!r}"
                    )
                if number % 500 == 0:
                    largest = max(largest, _size(folder))
        problems += [f"printed: {line}" for line in console.lines]
        stored = read_everything(console)
        await console.send(logs(log_record("still here")))
        with console.store.readers.connection() as connection:
            if not search_log_ids(connection, "still here"):
                problems.append("a valid record after the run is not found")
    if largest > _LIMITS.max_bytes:
        problems.append(f"the file had {largest} bytes, more than its cap of {_LIMITS.max_bytes}")
    return ConsoleReport(inputs=inputs, seed=seed, kinds=kinds, statuses=statuses, stored=stored, problems=problems)


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


def read_everything(console: OpenConsole) -> dict[str, int]:
    """Read each row by the readers of its kind; return how many there are."""
    forever = (-(2**63), 2**63 - 1)
    with console.store.readers.connection(60.0) as connection:
        spans = read_spans(connection, [row[0] for row in connection.execute("SELECT id FROM spans")])
        ids = [row[0] for row in connection.execute("SELECT id FROM log_records")]
        records, requests = read_log_records(connection, ids), read_requests(connection, ids)
        for text in TEXTS:
            search_log_ids(connection, text)
        series = [each.id for family in read_families(connection) for each in read_series(connection, family.id)]
        points = [
            point
            for read in (read_numbers, read_histograms, read_exponentials, read_summaries, read_exemplars)
            for point in read(connection, series, *forever)
        ]
        return {
            "spans": len(spans),
            "log records": len(records),
            "requests": len(requests),
            "points and exemplars": len(points),
            "resources": len(
                [read_resource(connection, row[0]) for row in connection.execute("SELECT id FROM resources")]
            ),
        }
