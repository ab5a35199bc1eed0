"""The programs to build, with their build tags and usual build time.

A program's cache key comes from its build files (`go.mod`, `go.sum`, for the Collector `manifest.yaml`): the same files
give the same key in every checkout.
"""

import hashlib
import platform
from pathlib import Path
from typing import Final

import msgspec

FOLDER: Final = Path(__file__).resolve().parent
RECIPE: Final = "1"
"""Part of every key: raise it when `build.py` builds differently."""

GO_MINIMUM: Final = (1, 26)


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """One Go module and the binaries that come out of it. `cold_seconds`: on 2 cores with nothing else to do, and cold caches."""

    name: str
    binaries: tuple[str, ...]
    tags: str = "netgo"
    cold_seconds: int
    builder: str | None = None
    """The version of the Collector's builder (OCB) that makes the sources from `manifest.yaml`."""

    renamed: tuple[tuple[str, str], ...] = ()
    """Binaries that Go names after their folder, and how they are called here."""

    @property
    def folder(self) -> Path:
        """Where its build files are."""
        return FOLDER / self.name

    def key(self) -> str:
        """Return what identifies its binaries; raises OSError where a build file is missing."""
        digest = hashlib.sha256()
        for part in (RECIPE, self.tags, str(self.builder), platform.system(), platform.machine()):
            digest.update(part.encode() + b"\0")
        for path in sorted(self.folder.iterdir()):
            digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
        return digest.hexdigest()[:16]


COLLECTOR: Final = Program(
    name="collector", binaries=("otelcol",), cold_seconds=300, tags="grpcnotrace,remove_all_sd", builder="v0.161.0"
)
PROMETHEUS: Final = Program(
    name="prometheus", binaries=("prometheus", "promtool"), tags="netgo,remove_all_sd", cold_seconds=195
)
ALERTMANAGER: Final = Program(name="alertmanager", binaries=("alertmanager", "amtool"), cold_seconds=45)
LOKI: Final = Program(name="loki", binaries=("loki", "logcli"), cold_seconds=340)
TEMPO: Final = Program(name="tempo", binaries=("tempo",), cold_seconds=230)
DOCKER_COMPOSE: Final = Program(
    name="docker-compose", binaries=("docker-compose",), tags="", cold_seconds=30, renamed=(("cmd", "docker-compose"),)
)
SERVERS: Final = (PROMETHEUS, ALERTMANAGER, LOKI, TEMPO, COLLECTOR)
"""What `make stack-native` runs."""
