"""`python -m packages.build` makes two wheels in `dist/`: the service, and `otel/` alone.

The service's wheel holds `app`, `console` and `otel`, so that one file installs it. The other wheel is built
from a copy of `otel/` in a temporary folder with `packages/otel/pyproject.toml`, because the build
backend reads only what lies below the project file. Needs no network: uv brings the backend.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
_NO_SOURCES: Final = shutil.ignore_patterns("__pycache__", "*.py[cod]", "src", "package.json", "package-lock.json")
"""What no wheel needs: compiled modules, and what the console's page is built from."""


def build(folder: Path) -> tuple[Path, Path]:
    """Build both wheels into `folder`; return the paths of the service's and of `otel`'s.

    Raises `subprocess.CalledProcessError` where uv fails, `FileNotFoundError` where uv is missing.
    """
    uv = find_uv()
    with tempfile.TemporaryDirectory(prefix="gatewayz-wheels-") as temporary:
        service, otel = Path(temporary) / "service", Path(temporary) / "otel"
        service.mkdir()
        for name in ("app", "console", "otel"):
            shutil.copytree(ROOT / name, service / name, ignore=_NO_SOURCES)
        for name in ("pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(ROOT / name, service / name)
        otel.mkdir()
        shutil.copytree(ROOT / "otel", otel / "otel", ignore=_NO_SOURCES)
        shutil.copy(ROOT / "LICENSE", otel / "LICENSE")
        shutil.copy(ROOT / "packages" / "otel" / "README.md", otel / "README.md")
        (otel / "pyproject.toml").write_text(otel_project(version()))
        return _wheel(uv, service, folder), _wheel(uv, otel, folder)


def version() -> str:
    """Return the version of the project."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        found: str = tomllib.load(file)["project"]["version"]
    return found


def otel_project(version: str) -> str:
    """Return the project file of `otel/` with a version."""
    text = (ROOT / "packages" / "otel" / "pyproject.toml").read_text()
    return re.sub(r'^version = "0"$', f'version = "{version}"', text, count=1, flags=re.MULTILINE)


def _wheel(uv: str, project: Path, folder: Path) -> Path:
    before = set(folder.glob("*.whl"))
    command = [uv, "build", "--wheel", "--offline", "--quiet", "--out-dir", str(folder), str(project)]
    subprocess.run(command, check=True)  # noqa: S603  uv, with paths of our own
    made = set(folder.glob("*.whl")) - before
    (folder / ".gitignore").unlink(missing_ok=True)
    if not made:
        # The same version was built before and has been replaced.
        stem = {"service": "gatewayz_observability-", "otel": "gatewayz_otel-"}[project.name]
        made = {max(folder.glob(f"{stem}*.whl"), key=lambda path: path.stat().st_mtime)}
    return made.pop()


def find_uv() -> str:
    """Return the path of uv: on PATH, else the one that `make` installed."""
    found = shutil.which("uv") or shutil.which("uv", path=str(ROOT / ".tools" / "bin"))
    if found is None:
        raise FileNotFoundError("uv is not installed: `make wheels` installs it into .tools")
    return found


def main() -> int:
    """Build into `dist/` and print the two paths."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    folder = ROOT / "dist"
    folder.mkdir(exist_ok=True)
    for path in build(folder):
        sys.stdout.write(f"{path.relative_to(ROOT)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
