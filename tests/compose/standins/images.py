"""Builds stand-ins for the servers' images out of the natively built binaries.

Each holds what its official image is known to hold and no more: an image without a shell has none here, so a health
check that passes here also passes there. Images have a single layer without a base (FROM scratch).
"""

import io
import shutil
import subprocess
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

_CERTIFICATES: Final = Path("/etc/ssl/certs/ca-certificates.crt")
_NOBODY: Final = 65_534
_GRAFANA_LABS: Final = 10_001
"""The user of Loki's and Tempo's images, and of the Collector's."""


class StandIn(msgspec.Struct, frozen=True, kw_only=True):
    """What is in an image. `files` maps places in it to binaries; `folders` are writable by its user `uid`."""

    files: Mapping[str, str]
    entrypoint: str
    uid: int
    folders: tuple[str, ...] = ()
    working_folder: str = "/"
    busybox: tuple[str, ...] = ()
    """Where the static busybox is, by each name that it is called."""

    has_tmp: bool = True


STAND_INS: Final = {
    "otelcol": StandIn(
        files={"/otelcol-contrib": "otelcol"}, entrypoint="/otelcol-contrib", uid=_GRAFANA_LABS, has_tmp=False
    ),
    "prometheus": StandIn(
        files={"/bin/prometheus": "prometheus", "/bin/promtool": "promtool"},
        entrypoint="/bin/prometheus",
        uid=_NOBODY,
        folders=("/prometheus", "/etc/prometheus"),
        working_folder="/prometheus",
        busybox=("/bin/sh", "/bin/wget"),
    ),
    "alertmanager": StandIn(
        files={"/bin/alertmanager": "alertmanager", "/bin/amtool": "amtool"},
        entrypoint="/bin/alertmanager",
        uid=_NOBODY,
        folders=("/alertmanager", "/etc/alertmanager"),
        working_folder="/alertmanager",
        busybox=("/bin/sh", "/bin/wget"),
    ),
    "loki": StandIn(
        files={"/usr/bin/loki": "loki"}, entrypoint="/usr/bin/loki", uid=_GRAFANA_LABS, folders=("/loki", "/etc/loki")
    ),
    "tempo": StandIn(
        files={"/tempo": "tempo"},
        entrypoint="/tempo",
        uid=_GRAFANA_LABS,
        folders=("/var/tempo",),
        busybox=("/busybox/sh", "/busybox/wget"),
    ),
}
"""By the services of the Compose file."""


def import_stand_in(stand_in: StandIn, name: str, binaries: Mapping[str, Path], environ: Mapping[str, str]) -> None:
    """Make one image under `name`; raises `subprocess.CalledProcessError`."""
    changes = [f'ENTRYPOINT ["{stand_in.entrypoint}"]', f"USER {stand_in.uid}", f"WORKDIR {stand_in.working_folder}"]
    command = ["docker", "import", *(part for change in changes for part in ("--change", change)), "-", name]
    process = subprocess.Popen(command, env=environ, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    assert process.stdin is not None
    with process.stdin, tarfile.open(fileobj=process.stdin, mode="w|") as archive:
        _write(archive, stand_in, binaries)
    if process.wait():
        raise subprocess.CalledProcessError(process.returncode, command)


def _write(archive: tarfile.TarFile, stand_in: StandIn, binaries: Mapping[str, Path]) -> None:
    users = f"root:x:0:0:root:/root:/sbin/nologin\nnobody:x:{_NOBODY}:{_NOBODY}:nobody:/nonexistent:/sbin/nologin\n"
    _text(archive, "etc/passwd", users)
    _file(archive, _CERTIFICATES.resolve(), "etc/ssl/certs/ca-certificates.crt", 0o644)
    if stand_in.has_tmp:
        _folder(archive, "tmp", mode=0o1777, uid=0)
    for folder in stand_in.folders:
        _folder(archive, folder.lstrip("/"), mode=0o755, uid=stand_in.uid)
    for place, binary in stand_in.files.items():
        _file(archive, binaries[binary], place.lstrip("/"), 0o755)
    for place in stand_in.busybox:
        _file(archive, Path(str(shutil.which("busybox"))), place.lstrip("/"), 0o755)


def _file(archive: tarfile.TarFile, path: Path, place: str, mode: int) -> None:
    info = tarfile.TarInfo(place)
    info.size, info.mode = path.stat().st_size, mode
    with path.open("rb") as content:
        archive.addfile(info, content)


def _text(archive: tarfile.TarFile, place: str, text: str) -> None:
    info = tarfile.TarInfo(place)
    info.size, info.mode = len(text), 0o644
    archive.addfile(info, io.BytesIO(text.encode()))


def _folder(archive: tarfile.TarFile, place: str, *, mode: int, uid: int) -> None:
    info = tarfile.TarInfo(place)
    info.type, info.mode, info.uid, info.gid = tarfile.DIRTYPE, mode, uid, uid
    archive.addfile(info)
