"""Reads `drills.toml`, and finds alerts without a drill and drills without an alert."""

from pathlib import Path
from typing import Final, Literal

import msgspec
import yaml

ROOT: Final = Path(__file__).resolve().parents[2]
RULES: Final = ROOT / "dashboards" / "rules"
FILE: Final = Path(__file__).with_name("drills.toml")


class Drill(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What makes an alert fire. `act` is the fault's name in the code of the run; `stand_in`: why the real fault cannot be made here."""

    alert: str
    run: Literal["gateway", "pipeline"]
    act: str
    stand_in: str = ""


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    drills: tuple[Drill, ...]


def read_drills(file: Path = FILE) -> tuple[Drill, ...]:
    """Read the file; raises `msgspec.ValidationError`."""
    return msgspec.toml.decode(file.read_bytes(), type=_File).drills


def alerts_of(rules: Path = RULES) -> set[str]:
    """Return the names of all alerts of a folder of rules."""
    return {
        rule["alert"]
        for path in sorted(rules.glob("*.yml"))
        for group in yaml.safe_load(path.read_text())["groups"]
        for rule in group["rules"]
        if "alert" in rule
    }


def problems(rules: Path = RULES, file: Path = FILE) -> list[str]:
    """Return one line for each alert without exactly one drill, and for each drill of no alert."""
    names = [drill.alert for drill in read_drills(file)]
    alerts = alerts_of(rules)
    lines = [f"{alert}: no drill in tests/drills/drills.toml" for alert in sorted(alerts - set(names))]
    lines += [f"{name}: a drill of no alert" for name in sorted(set(names) - alerts)]
    return lines + [f"{name}: two drills" for name in sorted({name for name in names if names.count(name) > 1})]
