"""`python -m dashboards.alerting`: write what `dashboards/rules/settings.toml` makes; `--check` compares, and finds missing runbooks."""

import re
import sys
from pathlib import Path
from typing import Final

from dashboards.alerting.objectives import GENERATED, slo_rules
from dashboards.alerting.runbooks import RULES, rewritten
from dashboards.alerting.settings import PATH, SettingsError, read_settings

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


def main(arguments: list[str]) -> str | None:
    """Write or check; return what is wrong, if anything is."""
    if arguments not in ([], ["--check"]):
        return "usage: python -m dashboards.alerting [--check]"
    if arguments:
        return "\n".join(problems() + runbook_problems()) or None
    try:
        texts = wanted(RULES, PATH)
    except SettingsError as error:
        return str(error)
    for path, text in texts.items():
        path.write_text(text, encoding="utf-8")
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
