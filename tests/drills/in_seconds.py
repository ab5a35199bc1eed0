"""The shipped rules and configurations with their minutes made seconds, so that a drill takes a minute and not an hour.

What an alert asks for stays as it is: windows, patience and intervals shrink. One threshold changes: the 30 seconds of a response, which
a drill would have to wait for.
"""

import re
from pathlib import Path
from typing import Final

from compose.native.servers import ROOT

LOOKBACK_SECONDS: Final = 10
"""For how long Prometheus shows the last sample of a series: five minutes, made seconds."""

WINDOWS: Final = {"1m": 5, "2m": 10, "5m": 15, "10m": 15, "15m": 15, "30m": 20, "1h": 25, "6h": 45, "3d": 55}
"""Windows by their names in seconds. An increase must outlast Alertmanager's group_wait, as five minutes do."""

_RULES: Final = (
    (re.compile(r"\binterval: \d+[sm]"), "interval: 1s"),
    (re.compile(r"\[1m:15s\]"), "[3s:1s]"),
    (re.compile(r"\bfor: \d+m"), "for: 5s"),
    (re.compile(r"\)\) > 30\b"), ")) > 5"),
)
_PROMETHEUS: Final = ((re.compile(r"\b(scrape|evaluation)_interval: \d+s"), r"\1_interval: 1s"),)
_ALERTMANAGER: Final = (
    (re.compile(r"\bgroup_wait: \d+[sm]"), "group_wait: 1s"),
    (re.compile(r"\bgroup_interval: \d+[sm]"), "group_interval: 3s"),
)
_WINDOW: Final = re.compile(r"\[(\d+[mhd])\]")
_OFFSET: Final = re.compile(r"\boffset (\d+[mhd])\b")


def rules(text: str) -> str:
    """Return rules in seconds."""
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    text = _WINDOW.sub(lambda found: f"[{_seconds(found[1])}]", text)
    return _OFFSET.sub(lambda found: f"offset {_seconds(found[1])}", text)


def prometheus(text: str) -> str:
    """Return Prometheus' configuration with a scrape and an evaluation every second."""
    return _replaced(text, _PROMETHEUS)


def alertmanager(text: str) -> str:
    """Return Alertmanager's configuration that tells of a group at once, and again every few seconds."""
    return _replaced(text, _ALERTMANAGER)


def write_rules(folder: Path) -> Path:
    """Write all shipped rules in seconds; return the folder."""
    folder.mkdir()
    for path in sorted((ROOT / "dashboards" / "rules").glob("*.yml")):
        (folder / path.name).write_text(rules(path.read_text()))
    return folder


def _seconds(window: str) -> str:
    """Windows that are not of an alert stay."""
    return f"{WINDOWS[window]}s" if window in WINDOWS else window


def _replaced(text: str, patterns: tuple[tuple[re.Pattern[str], str], ...]) -> str:
    for pattern, replacement in patterns:
        if not pattern.search(text):
            raise ValueError(f"there is nothing like {pattern.pattern} in it")
        text = pattern.sub(replacement, text)
    return text
