"""Builds a stand-in for the official Python image, out of Debian's packages.

debootstrap makes the tree once, from the mirror that apt uses on this machine. Pip's settings of this machine
(certificates, index) are added, so that the unchanged Dockerfile finds its packages.
"""

import ast
import configparser
import fcntl
import io
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from compose.native.build import Say

SUITE: Final = "bookworm"
PACKAGES: Final = ("python3", "python3-venv", "python3-pip", "ca-certificates")
_IMAGE: Final = re.compile(r"^ARG PYTHON_IMAGE=(\S+)$", re.MULTILINE)
_CERTIFICATES: Final = Path("/etc/ssl/certs/ca-certificates.crt")
_PIP_SETTINGS: Final = ("cert", "extra-index-url", "index-url", "proxy", "timeout", "trusted-host")
_LINKS: Final = {"python": "python3", "python3": "python3", "pip": "pip3"}


def image_of_dockerfile(dockerfile: Path) -> str:
    """Return the name of the Python image that the Dockerfile asks for; raises ValueError where there is none."""
    found = _IMAGE.search(dockerfile.read_text())
    if found is None:
        raise ValueError(f"{dockerfile} names no PYTHON_IMAGE")
    return found[1]


def make_python_image(name: str, cache: Path, environ: Mapping[str, str], say: Say) -> None:
    """Make the image; raises `subprocess.CalledProcessError`."""
    tree = _tree(cache, say)
    with tree.open("rb") as content:
        _docker(environ, "import", "-", "gatewayz/python-tree:local", stdin=content)
    with tempfile.TemporaryDirectory() as scratch:
        shutil.copy(_CERTIFICATES.resolve(), Path(scratch, "ca-certificates.crt"))
        Path(scratch, "pip.conf").write_text(_pip_settings())
        links = " && ".join(f"ln -s /usr/bin/{target} /usr/local/bin/{link}" for link, target in _LINKS.items())
        Path(scratch, "Dockerfile").write_text(
            f"FROM gatewayz/python-tree:local\nCOPY ca-certificates.crt {_CERTIFICATES}\nCOPY pip.conf /etc/pip.conf\nRUN {links}\n"
        )
        _docker(environ, "build", "--quiet", "--network", "host", "--tag", name, scratch)


def _tree(cache: Path, say: Say) -> Path:
    """Return the archive of the bare tree; made by one process at a time, and whole or not there."""
    folder = cache / "standins"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{SUITE}-python.tar"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            say(f"making a tree of Debian {SUITE} with Python (about a minute, once)")
            with tempfile.TemporaryDirectory(dir=folder) as scratch:
                tree = Path(scratch, "tree")
                include = f"--include={','.join(PACKAGES)}"
                _run("debootstrap", "--variant=minbase", include, SUITE, str(tree), _mirror())
                shutil.rmtree(tree / "var" / "cache" / "apt")
                _run("tar", "--create", "--file", str(Path(scratch, "tree.tar")), "--directory", str(tree), ".")
                Path(scratch, "tree.tar").rename(path)
    return path


def _mirror() -> str:
    """Return where this machine's apt gets Debian from."""
    command = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Component: main", "Created-By: Packages"]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return next(uri for uri in found if uri.rstrip("/").endswith("/debian"))


def _pip_settings() -> str:
    """Return what this machine's pip is told, as a configuration file."""
    listed = subprocess.run(
        [str(shutil.which("python3")), "-m", "pip", "config", "list"], capture_output=True, text=True, check=False
    ).stdout
    settings: dict[str, str] = {"cert": str(_CERTIFICATES)}
    for line in listed.splitlines():
        key, _, value = line.partition("=")
        option = key.rpartition(".")[2]
        if option in _PIP_SETTINGS:
            settings[option] = str(ast.literal_eval(value))
    file = configparser.RawConfigParser()
    file["global"] = settings
    text = io.StringIO()
    file.write(text)
    return text.getvalue()


def _docker(environ: Mapping[str, str], *arguments: str, stdin: io.BufferedReader | None = None) -> None:
    """Run it without its output; what it said is in the error."""
    subprocess.run([str(shutil.which("docker")), *arguments], env=environ, stdin=stdin, capture_output=True, check=True)


def _run(*command: str) -> None:
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
