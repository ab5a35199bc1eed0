"""Check the Compose files: by their text, and by `docker compose config` for every combination where a Docker Compose is there.

Without one the text alone is checked: pinned images, what is bound where, limits, mounts that
exist, variables that are documented.
"""

import itertools
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from compose.native.build import binaries_folder, cache_folder
from compose.native.programs import DOCKER_COMPOSE

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "compose"
BASE = "compose.yaml"
OVERLAYS = ("compose.demo.yaml", "compose.scrape-only.yaml", "compose.tls.yaml")
CONTRADICTIONS = ({"compose.scrape-only.yaml", "compose.tls.yaml"},)
"""Without a Collector there is nothing whose receivers could be protected."""

PROFILES = ("grafana", "demo")
SETTINGS = FOLDER / ".env.example"
NO_HEALTH_CHECK = {
    "gateway": "it is in the image",
    "otelcol": "its image contains no program that could run a check",
    "demo-setup": "ends by itself",
    "traffic": "serves nothing",
}
_VARIABLE = re.compile(r"\$\{(?P<name>[A-Z0-9_]+)(?::-(?P<default>[^}]*)|:\?[^}]*)?\}")
_SETTING = re.compile(r"^(?:# )?(?P<name>[A-Z0-9_]+)=(?P<value>.*)$", re.MULTILINE)
"""A line of `.env.example`; one that has no default is commented out."""

_PINNED = re.compile(r":v?\d+\.\d+\.\d+$")
_OWN_VARIABLES = frozenset({"COMPOSE_PROJECT_NAME"})
"""Read by Docker Compose itself."""


def combinations() -> Iterator[tuple[str, ...]]:
    """Return every set of files that makes sense together."""
    for count in range(len(OVERLAYS) + 1):
        for chosen in itertools.combinations(OVERLAYS, count):
            if not any(both <= set(chosen) for both in CONTRADICTIONS):
                yield (BASE, *chosen)


def substitute(text: str, environ: Mapping[str, str]) -> str:
    """Replace `${NAME:-default}` as Docker Compose does; an unset variable without a default is empty."""
    return _VARIABLE.sub(lambda match: environ.get(match["name"]) or match["default"] or "", text)


def read(name: str, environ: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return a Compose file with its variables replaced."""
    loaded: dict[str, Any] = yaml.safe_load(substitute((FOLDER / name).read_text(), environ or {}))
    return loaded


def host_path(mount: str) -> Path | None:
    """Return the host's side of a mount of the short form; None for a named volume."""
    source = mount.partition(":")[0]
    return (FOLDER / source).resolve() if source.startswith(".") else None


def documented() -> dict[str, str]:
    """Return the variables of `.env.example`."""
    return {match["name"]: match["value"] for match in _SETTING.finditer(SETTINGS.read_text())}


def problems() -> list[str]:
    """Return one line for each thing that is wrong."""
    found: list[str] = []
    for name in (BASE, *OVERLAYS):
        found += _text_problems(name)
    found += _settings_problems()
    compose = find_docker_compose()
    if compose is None:
        sys.stderr.write("compose: no Docker Compose here; the files were checked by their text alone\n")
        return found
    for files in combinations():
        for count in range(len(PROFILES) + 1):
            for profiles in itertools.combinations(PROFILES, count):
                found += _config_problems(compose, files, profiles)
    return found


def find_docker_compose() -> list[str] | None:
    """Return the command: the plugin of `docker`, or the binary that was built for the native stack; None without either."""
    docker = shutil.which("docker")
    if docker and subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode == 0:
        return [docker, "compose"]
    built = binaries_folder(DOCKER_COMPOSE, cache_folder()) / "docker-compose"
    return [str(built)] if built.is_file() else None


def compose_arguments(files: Sequence[str], profiles: Sequence[str] = ()) -> list[str]:
    """Return the arguments that name files and profiles."""
    named = [argument for name in files for argument in ("--file", str(FOLDER / name))]
    return named + [argument for profile in profiles for argument in ("--profile", profile)]


def _config_problems(compose: Sequence[str], files: Sequence[str], profiles: Sequence[str]) -> list[str]:
    command = [*compose, *compose_arguments(files, profiles), "--env-file", str(SETTINGS), "config", "--quiet"]
    environ = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ} | {
        "COLLECTOR_TOKEN": "made-up"
    }
    done = subprocess.run(command, capture_output=True, text=True, env=environ, check=False)
    said = " ".join(done.stderr.split())
    if done.returncode or said:
        return [f"{' + '.join(files)} with profiles {list(profiles)}: {said or f'exit code {done.returncode}'}"]
    return []


def _text_problems(name: str) -> list[str]:
    content = read(name, documented())
    declared = set(read(BASE).get("volumes", {})) | set(content.get("volumes") or {})
    found = []
    for service, settings in content["services"].items():
        where = f"{name}: {service}"
        found += [f"{where}: {problem}" for problem in _service_problems(service, settings)]
        for mount in settings.get("volumes", []):
            path = host_path(mount)
            if path is None and mount.partition(":")[0] not in declared:
                found.append(f"{where}: {mount} is no declared volume")
            if path is not None and not path.exists() and "certs" not in path.parts:  # made by compose/certificates.py
                found.append(f"{where}: {mount}: there is no {path.relative_to(ROOT)}")
    return found


def _service_problems(service: str, settings: Mapping[str, Any]) -> Iterator[str]:
    if "container_name" in settings:
        yield "has a container name: two stacks could not run side by side"
    for port in settings.get("ports", []):
        if not port.startswith("127.0.0.1:"):
            yield f"publishes {port} beyond loopback by default"
    if "image" not in settings:
        return  # an overlay's change of a service
    if not _PINNED.search(settings["image"]):
        yield f"{settings['image']} is not pinned to a version"
    for key in ("mem_limit", "restart", "logging", "cap_drop"):
        if key not in settings:
            yield f"has no {key}"
    if "healthcheck" not in settings and service not in NO_HEALTH_CHECK:
        yield "has no health check"


def _settings_problems() -> list[str]:
    used: dict[str, str] = {}
    for name in (BASE, *OVERLAYS):
        for match in _VARIABLE.finditer((FOLDER / name).read_text()):
            used[match["name"]] = match["default"] or ""
    known = documented()
    found = [f".env.example: {name} is not in it" for name in used.keys() - known.keys()]
    found += [f".env.example: nothing reads {name}" for name in known.keys() - used.keys() - _OWN_VARIABLES]
    found += [
        f".env.example: {name} is {known[name]!r} there and {default!r} where it is used"
        for name, default in used.items()
        if name in known and known[name] != default
    ]
    return sorted(found)


if __name__ == "__main__":
    sys.exit("\n".join(problems()) or 0)
