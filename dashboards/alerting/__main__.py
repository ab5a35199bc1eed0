"""`python -m dashboards.alerting`: write what `dashboards/rules/settings.toml` makes; `--check` compares, and finds missing runbooks.

`--runbooks URL`, or the variable `RUNBOOK_BASE_URL`, sets the address of the runbooks in the settings first.
"""

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from dashboards.alerting.objectives import GENERATED, slo_rules
from dashboards.alerting.runbooks import RULES, rewritten
from dashboards.alerting.settings import PATH, SettingsError, read_settings, write_runbook_base_url

RUNBOOKS: Final = Path(__file__).parents[2] / "docs" / "runbooks"
_ALERT: Final = re.compile(r"^ *- alert: (\w+)$", re.MULTILINE)


def wanted(folder: Path, settings_path: Path) -> dict[Path, str]:
    """Return the text of each file that is made or completed; raises `SettingsError`."""
    settings = read_settings(settings_path)
    return rewritten(folder, settings.runbook_base_url) | {folder / GENERATED: slo_rules(settings)}


def problems(folder: Path = RULES, settings_path: Path = PATH) -> list[str]:
    """Return one line for each file that is missing or differs from what the settings make."""
    try:
        texts = wanted(folder, settings_path)
    except SettingsError as error:
        return [str(error)]
    return [
        f"{path.relative_to(folder)} is out of date or was edited by hand; run `python -m dashboards.alerting`"
        for path, text in texts.items()
        if not path.is_file() or path.read_text(encoding="utf-8") != text
    ]


def runbook_problems(folder: Path = RULES, runbooks: Path = RUNBOOKS) -> list[str]:
    """Return one line for each alert without a runbook, and for each runbook of no alert."""
    alerts = {name for path in folder.glob("*.yml") for name in _ALERT.findall(path.read_text(encoding="utf-8"))}
    found = {path.stem for path in runbooks.glob("*.md")}
    missing = [f"docs/runbooks/{alert}.md is missing" for alert in sorted(alerts - found)]
    return missing + [f"docs/runbooks/{name}.md is about no alert" for name in sorted(found - alerts)]


_USAGE: Final = "usage: python -m dashboards.alerting [--check | --runbooks URL]"


def main(arguments: list[str], environment: Mapping[str, str]) -> str | None:
    """Write or check; return what is wrong, if anything is."""
    match arguments:
        case ["--check"]:
            return "\n".join(problems() + runbook_problems()) or None
        case ["--runbooks", base_url]:
            pass
        case []:
            base_url = environment.get("RUNBOOK_BASE_URL", "")
        case ["--help"]:
            sys.stdout.write(f"{_USAGE}\n\n{__doc__}")
            return None
        case _:
            return _USAGE
    try:
        write(RULES, PATH, base_url)
    except SettingsError as error:
        return str(error)
    from dashboards import generate  # noqa: PLC0415  the boards read the settings when they are imported

    generate.write(generate.JSON_FOLDER)
    return None


def write(folder: Path, settings_path: Path, base_url: str = "") -> None:
    """Write the rules and their cases, with the runbooks at `base_url` from now on if there is one; raises `SettingsError`."""
    if base_url:
        write_runbook_base_url(base_url, settings_path)
    for path, text in wanted(folder, settings_path).items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
