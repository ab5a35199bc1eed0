"""Other gateways to compare with, in a folder of their own in the user's cache.

`python -m bench.baselines` (`make bench-baselines`) installs Portkey's gateway with npm and LiteLLM's
proxy with uv, about 25 and 600 MB. What is missing there is skipped by `bench.gateway`.
"""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec

from compose.native.build import cache_folder
from packages.build import find_uv

PORTKEY_PACKAGE = "@portkey-ai/gateway@1.15.2"
LITELLM_PACKAGES = (
    "litellm[proxy]==1.106.2",
    "prometheus-client>=0.20",
    "opentelemetry-sdk>=1.30",
    "opentelemetry-exporter-otlp>=1.30",
)
INSTALL = "make bench-baselines installs it"


class Baselines(msgspec.Struct, frozen=True):
    """Where the other gateways are; None where they are not installed, or what runs them is not."""

    node: str | None
    portkey: Path | None
    litellm: Path | None


def baselines_folder() -> Path:
    """Return where they are installed."""
    return cache_folder() / "baselines"


def find_baselines(folder: Path, node: str | None) -> Baselines:
    """Look for what runs each baseline."""
    portkey = folder / "portkey/node_modules/@portkey-ai/gateway/build/start-server.js"
    litellm = folder / "litellm/bin/litellm"
    return Baselines(
        node=node,
        portkey=portkey if portkey.exists() else None,
        litellm=litellm if litellm.exists() else None,
    )


def _run(*command: str | Path, folder: Path) -> None:
    subprocess.run(command, cwd=folder, check=True)  # noqa: S603  npm and uv with the arguments below


def install_portkey(folder: Path) -> None:
    """Install it below `folder`; raises `FileNotFoundError` without npm, `CalledProcessError` where npm fails."""
    npm = shutil.which("npm")
    if npm is None:
        raise FileNotFoundError("npm is not installed")
    folder.mkdir(parents=True, exist_ok=True)
    _run(
        npm,
        "install",
        "--no-audit",
        "--no-fund",
        "--loglevel=error",
        "--prefix",
        folder,
        PORTKEY_PACKAGE,
        folder=folder,
    )


def install_litellm(folder: Path) -> None:
    """Install it into a virtual environment; raises `FileNotFoundError` without uv, `CalledProcessError` where uv fails."""
    folder.mkdir(parents=True, exist_ok=True)
    uv = find_uv()
    _run(uv, "venv", "--quiet", "--allow-existing", "--python", sys.executable, folder, folder=folder)
    python = folder / "bin/python"
    _run(uv, "pip", "install", "--quiet", "--python", python, *LITELLM_PACKAGES, folder=folder)


def main() -> int:
    """Install both; return 1 where one of them failed."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    folder = baselines_folder()
    failed = 0
    for name, install in (("portkey", install_portkey), ("litellm", install_litellm)):
        print(f"baselines: installing {name} into {folder / name}", flush=True)
        try:
            install(folder / name)
        except (FileNotFoundError, subprocess.CalledProcessError) as error:
            print(f"baselines: {name} is not installed: {error}", file=sys.stderr)
            failed = 1
    return failed


if __name__ == "__main__":
    sys.exit(main())
