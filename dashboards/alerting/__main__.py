"""`python -m dashboards.alerting`: write what is made from `dashboards/rules/settings.toml`; `--check` only compares."""

import sys
from pathlib import Path

from dashboards.alerting.runbooks import RULES, rewritten
from dashboards.alerting.settings import PATH, SettingsError, read_settings


def wanted(folder: Path, settings_path: Path) -> dict[Path, str]:
    """Return the text of each file that is made or completed; raises `SettingsError`."""
    return rewritten(folder, read_settings(settings_path).runbook_base_url)


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


def main(arguments: list[str]) -> str | None:
    """Write or check; return what is wrong, if anything is."""
    if arguments not in ([], ["--check"]):
        return "usage: python -m dashboards.alerting [--check]"
    if arguments:
        return "\n".join(problems()) or None
    try:
        texts = wanted(RULES, PATH)
    except SettingsError as error:
        return str(error)
    for path, text in texts.items():
        path.write_text(text, encoding="utf-8")
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
