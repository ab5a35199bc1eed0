"""What an anomaly detector has learned of two hours of well traffic, made by the detector itself and kept where a start finds it."""

import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from app.anomaly.detector import AnomalyDetector
from app.anomaly.watch import STATE_NAME
from app.config.schema import AnomaliesConfig

MINUTES: Final = 120
ATTEMPTS_PER_MINUTE: Final = 450
"""Between the paces of the drills that are to raise no anomaly, 240 and 750."""

FAILING_OF: Final = 23
"""One of so many attempts fails, as in the drill of an error budget."""

INPUT_TOKENS: Final = 2
OUTPUT_TOKENS: Final = 32
"""What the upstream of the drills reports where it is not told otherwise."""


def keep_learned(
    database_path: Path, routes: Iterable[tuple[str, str]], busy: tuple[str, str], now_seconds: float
) -> None:
    """Let a detector of these routes see well attempts at the busy one, which never happened, and keep its state."""
    detector = AnomalyDetector(list(routes), AnomaliesConfig())
    for minute in range(MINUTES, 0, -1):
        began_seconds = now_seconds - 60.0 * minute
        for number in range(ATTEMPTS_PER_MINUTE):
            detector.observe(
                *busy,
                "failure" if number % FAILING_OF == 0 else "success",
                now_seconds=began_seconds + number * 60.0 / ATTEMPTS_PER_MINUTE,
                duration_seconds=0.4
                + 0.01 * (number % 7),  # longer than a busy computer takes, half as long as the drill
                input_tokens=INPUT_TOKENS,
                output_tokens=OUTPUT_TOKENS,
            )
        if detector.evaluate(began_seconds + 60.0):
            raise ValueError("well traffic is an anomaly")
    with sqlite3.connect(database_path) as database:
        row = (STATE_NAME, detector.dump().decode(), int(now_seconds * 1_000))
        database.execute("INSERT INTO detector_state (name, state, updated_unix_ms) VALUES (?, ?, ?)", row)
