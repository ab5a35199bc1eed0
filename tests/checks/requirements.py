"""Check that the locked requirement files pin everything that pyproject.toml asks for, with hashes and without addresses."""

import re
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PIN = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^ ;\\]+)", re.MULTILINE)


def pins(path: Path) -> dict[str, str]:
    """Return the pinned version of each package of a requirements file."""
    return {canonicalize_name(match["name"]): match["version"] for match in PIN.finditer(path.read_text())}


def problems() -> list[str]:
    """Return one line for each thing that is out of step."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = project["dependency-groups"]
    extras = project["project"]["optional-dependencies"]
    wanted = {
        "runtime.txt": project["project"]["dependencies"] + extras["production"] + extras["catalogue"],
        "dev.txt": project["project"]["dependencies"] + groups["test"] + groups["lint"] + groups["types"],
        "demo.txt": groups["demo"],
    }
    found = []
    for name, requirements in wanted.items():
        path = ROOT / "requirements" / name
        pinned = pins(path)
        for requirement in map(Requirement, requirements):
            version = pinned.get(canonicalize_name(requirement.name))
            if version is None or not requirement.specifier.contains(version, prereleases=True):
                found.append(f"requirements/{name}: {requirement} is pinned to {version}; run `make lock`")
        text = path.read_text()
        if "://" in text:
            found.append(f"requirements/{name}: names an address")
        if text.count("--hash=") < len(pinned):
            found.append(f"requirements/{name}: a pin has no hash")
    runtime, dev = (pins(ROOT / "requirements" / name) for name in ("runtime.txt", "dev.txt"))
    found += [
        f"{name} is {runtime[name]} at run time but {dev.get(name)} in tests"
        for name in runtime
        if dev.get(name) != runtime[name]
    ]
    return found


if __name__ == "__main__":
    sys.exit("\n".join(problems()) or 0)
