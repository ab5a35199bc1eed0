"""Writes the dashboards' JSON, which is what Grafana reads; `--check` only says whether it is up to date.

Input: `grafana/definitions/`. Output: `grafana/json/FOLDER/UID.json`; what no definition makes
any more is removed.
"""

import sys
from pathlib import Path
from typing import Final

from dashboards.grafana.definitions import DASHBOARDS
from dashboards.grafana.render import render

JSON_FOLDER: Final = Path(__file__).parent / "grafana" / "json"


def documents() -> dict[Path, str]:
    """Return the text of each file, by its path below the JSON folder."""
    return {Path(each.folder, f"{each.uid}.json"): render(each) for each in DASHBOARDS}


def problems(folder: Path) -> list[str]:
    """Return one line for each file that is missing, out of date, or made by no definition."""
    wanted = documents()
    found = {path.relative_to(folder): path.read_text(encoding="utf-8") for path in sorted(folder.rglob("*.json"))}
    missing = [f"{path} is missing" for path in wanted if path not in found]
    stale = [f"{path} is out of date" for path, text in found.items() if path in wanted and wanted[path] != text]
    orphans = [f"{path} is made by no definition" for path in found if path not in wanted]
    return missing + stale + orphans


def write(folder: Path) -> None:
    """Write every file, and remove those that no definition makes."""
    wanted = documents()
    for path in folder.rglob("*.json"):
        if path.relative_to(folder) not in wanted:
            path.unlink()
    for path, text in wanted.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")


def main(arguments: list[str]) -> str | None:
    """Write or check; return what is wrong, if anything is."""
    if arguments == ["--help"]:
        sys.stdout.write(f"usage: python -m dashboards.generate [--check]\n\n{__doc__}")
        return None
    if arguments not in ([], ["--check"]):
        return "usage: python -m dashboards.generate [--check]"
    if not arguments:
        write(JSON_FOLDER)
        return None
    found = problems(JSON_FOLDER)
    return "\n".join([*found, "run `python -m dashboards.generate`"]) if found else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
