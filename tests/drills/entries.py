"""Reads `drills.toml`, and finds alerts without a drill and drills without an alert."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Literal

import msgspec
import yaml

ROOT: Final = Path(__file__).resolve().parents[2]
RULES: Final = ROOT / "dashboards" / "rules"
FILE: Final = Path(__file__).with_name("drills.toml")


class Drill(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What makes an alert fire. `act` is the fault's name in the code of the run; `stand_in`: why the real fault cannot be made here.

    `variant` is the value of the label that tells the rules of one alert apart (`severity`, `evidence`, `route_kind`), where it has several.
    `silenced`: another variant of the alert silences it during the act, so that it is told when that is over.
    """

    alert: str
    run: Literal["gateway", "pipeline"]
    act: str
    variant: str = ""
    stand_in: str = ""
    silenced: bool = False


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    drills: tuple[Drill, ...]


def read_drills(file: Path = FILE) -> tuple[Drill, ...]:
    """Read the file; raises `msgspec.ValidationError`."""
    return msgspec.toml.decode(file.read_bytes(), type=_File).drills


def alerts_of(rules: Path = RULES) -> set[str]:
    """Return the names of all alerts of a folder of rules."""
    return {alert for alert, _ in variants_of(rules)}


def variants_of(rules: Path = RULES) -> list[tuple[str, str]]:
    """Return the name of each alert with each of its variants, `""` where it has one rule; raises ValueError where no label tells two apart."""
    labels: dict[str, list[dict[str, str]]] = {}
    for path in sorted(rules.glob("*.yml")):
        for group in yaml.safe_load(path.read_text())["groups"]:
            for rule in group["rules"]:
                if "alert" in rule:
                    labels.setdefault(rule["alert"], []).append(rule.get("labels", {}))
    return [(alert, variant) for alert, of_rules in labels.items() for variant in _variants(alert, of_rules)]


def _variants(alert: str, labels: Sequence[Mapping[str, str]]) -> list[str]:
    if len(labels) == 1:
        return [""]
    for key in labels[0]:
        values = [each.get(key, "") for each in labels]
        if len(set(values)) == len(values):
            return values
    raise ValueError(f"{alert}: no label tells its rules apart")


def problems(rules: Path = RULES, file: Path = FILE) -> list[str]:
    """Return one line for each rule of an alert without exactly one drill, and for each drill of no rule."""
    drilled = [(drill.alert, drill.variant) for drill in read_drills(file)]
    wanted = set(variants_of(rules))
    lines = [f"{_words(each)}: no drill in tests/drills/drills.toml" for each in sorted(wanted - set(drilled))]
    lines += [f"{_words(each)}: a drill of no alert" for each in sorted(set(drilled) - wanted)]
    return lines + [
        f"{_words(each)}: two drills" for each in sorted({each for each in drilled if drilled.count(each) > 1})
    ]


def _words(variant: tuple[str, str]) -> str:
    return " ".join(part for part in variant if part)
