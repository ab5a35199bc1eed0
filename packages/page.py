"""`python -m packages.page` builds the console's page from `console/page/src` into `console/page/static`.

The result is committed and in the wheel, so that nothing that runs needs Node. `--check` builds into a
temporary folder and compares byte for byte; it is skipped where Node's `npm` is not installed, and
where the packages are neither there nor to be had. npm verifies them by the hashes of the lockfile.
"""

import argparse
import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
PAGE: Final = ROOT / "console" / "page"
STATIC: Final = PAGE / "static"
NODE_FOLDER: Final = ROOT / ".tools" / "page"
"""Where npm installs: outside the package, so that no wheel can contain it."""

_BUNDLED: Final = ("preact", "uplot")
_COPIED: Final = ("index.html", "icon.svg")
_LICENCES: Final = "LICENSES.txt"


class NodeMissingError(Exception):
    """npm or its packages are not to be had; the text names what is missing."""


def install() -> Path:
    """Install the locked packages where they are not yet installed, and return their folder.

    Raises `NodeMissingError` where npm is not installed or cannot reach its registry.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise NodeMissingError("npm (Node 18 or newer) is not installed")
    NODE_FOLDER.mkdir(parents=True, exist_ok=True)
    with (NODE_FOLDER / "lock").open("w") as lock:
        # Tests in several processes may want the packages at once.
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _install(npm)


def _install(npm: str) -> Path:
    modules = NODE_FOLDER / "node_modules"
    wanted = PAGE / "package-lock.json"
    installed = NODE_FOLDER / "package-lock.json"
    stamp = NODE_FOLDER / "installed"
    if stamp.exists() and installed.read_bytes() == wanted.read_bytes():
        return modules
    stamp.unlink(missing_ok=True)
    for path in (wanted, PAGE / "package.json"):
        shutil.copy(path, NODE_FOLDER)
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    ended = subprocess.run(command, cwd=NODE_FOLDER, capture_output=True, text=True, check=False)  # noqa: S603  npm, with our lockfile
    if ended.returncode:
        raise NodeMissingError(f"npm could not install the page's packages: {ended.stderr.strip()[-400:]}")
    stamp.touch()
    return modules


def build(folder: Path, modules: Path) -> None:
    """Build all files of the page into a folder. Raises `subprocess.CalledProcessError` where esbuild fails."""
    source = PAGE / "src"
    bundle(source / "main.js", folder / "page.js", modules)
    for name in _COPIED:
        shutil.copyfile(source / name, folder / name)
    (folder / _LICENCES).write_text(_licences(modules), encoding="utf-8")


def bundle(source: Path, output: Path, modules: Path) -> None:
    """Bundle a script with what it imports; style sheets go beside it. Raises `subprocess.CalledProcessError` where esbuild fails."""
    command = [
        str(modules / ".bin" / "esbuild"),
        source.name,
        "--bundle",
        "--minify",
        "--format=esm",
        "--target=es2022",
        "--charset=utf8",
        "--legal-comments=none",
        "--log-level=warning",
        f"--outfile={output}",
    ]
    environment = {**os.environ, "NODE_PATH": str(modules)}
    subprocess.run(command, cwd=source.parent, env=environment, check=True)  # noqa: S603  the locked esbuild


def _licences(modules: Path) -> str:
    """Return the licences of what is bundled, which each of them requires to be kept."""
    parts = [f"{name}\n\n{(modules / name / 'LICENSE').read_text(encoding='utf-8').strip()}\n" for name in _BUNDLED]
    return "page.js contains these libraries.\n\n" + "\n".join(parts)


def differences(one: Path, other: Path) -> list[str]:
    """Return the names of the files that are not the same in both folders."""
    names = {path.name for folder in (one, other) for path in folder.iterdir()}
    return sorted(name for name in names if _bytes(one / name) != _bytes(other / name))


def _bytes(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def main(arguments: Sequence[str]) -> int:
    """Build, or compare; return 1 where the committed files are not what the sources make."""
    parser = argparse.ArgumentParser(prog="python -m packages.page", description="Build the console's page.")
    parser.add_argument("--check", action="store_true", help="compare with the committed files instead")
    check: bool = parser.parse_args(arguments).check
    try:
        modules = install()
    except NodeMissingError as error:
        if check and os.environ.get("CI") != "true":
            sys.stdout.write(f"skipped: the console's page was not rebuilt: {error}\n")
            return 0
        sys.stderr.write(f"the console's page cannot be built: {error}\n")
        return 1
    if not check:
        build(STATIC, modules)
        return 0
    with tempfile.TemporaryDirectory(prefix="gatewayz-page-") as temporary:
        build(Path(temporary), modules)
        different = differences(Path(temporary), STATIC)
    if different:
        names = ", ".join(different)
        sys.stderr.write(f"console/page/static differs from its sources in {names}: run `make page` and commit it\n")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
