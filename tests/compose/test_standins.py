"""The stand-ins hold what the official images hold and no more; what they are for, the run itself, is `make compose-test`."""

import io
import re
import tarfile
from pathlib import Path

import pytest

from compose.native.programs import SERVERS
from compose.native.servers import ROOT
from tests.checks import compose as checks
from tests.compose.standins import images
from tests.compose.standins.__main__ import CASES, main
from tests.compose.standins.daemon import DaemonError, _with_all_tables, check_machine, mounts_below
from tests.compose.standins.python_image import image_of_dockerfile

SERVICES = checks.read(checks.BASE)["services"]


@pytest.fixture
def binaries(tmp_path) -> dict[str, Path]:
    """Files in the place of what the native build makes."""
    names = {name for program in SERVERS for name in program.binaries}
    for name in names:
        (tmp_path / name).write_text(f"the binary {name}")
    return {name: tmp_path / name for name in names}


@pytest.fixture(autouse=True)
def parts_of_this_machine(tmp_path, monkeypatch) -> None:
    """Neither certificates nor busybox need to be there."""
    for name in ("certificates", "busybox"):
        (tmp_path / f"machine-{name}").write_text(name)
    monkeypatch.setattr(images, "_CERTIFICATES", tmp_path / "machine-certificates")
    monkeypatch.setattr(images.shutil, "which", lambda _name: str(tmp_path / "machine-busybox"))


def content(stand_in: images.StandIn, binaries: dict[str, Path]) -> dict[str, tarfile.TarInfo]:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w|") as archive:
        images._write(archive, stand_in, binaries)
    file.seek(0)
    with tarfile.open(fileobj=file) as archive:
        return {f"/{info.name}": info for info in archive}


def test_every_official_image_has_a_stand_in_but_grafana() -> None:
    official = {name for name, settings in SERVICES.items() if not settings["image"].startswith("gatewayz/")}
    assert images.STAND_INS.keys() == official - {"grafana"}


@pytest.mark.parametrize("name", sorted(images.STAND_INS))
def test_a_health_check_uses_what_is_in_the_image(name: str, binaries: dict[str, Path]) -> None:
    inside = content(images.STAND_INS[name], binaries)
    check = SERVICES[name].get("healthcheck", {"test": ["CMD", images.STAND_INS[name].entrypoint]})["test"]
    assert check[0] == "CMD", "no image but those with a shell could run another"
    assert inside[check[1]].mode & 0o111
    assert inside[images.STAND_INS[name].entrypoint].mode & 0o111


@pytest.mark.parametrize("name", ["otelcol", "loki"])
def test_images_without_a_shell_have_none_here(name: str, binaries: dict[str, Path]) -> None:
    assert not [
        place for place in content(images.STAND_INS[name], binaries) if re.search(r"/(sh|wget|busybox)$", place)
    ]


@pytest.mark.parametrize("name", ["prometheus", "alertmanager", "loki", "tempo"])
def test_a_volume_is_mounted_where_the_image_has_a_folder_of_its_user(name: str, binaries: dict[str, Path]) -> None:
    inside = content(images.STAND_INS[name], binaries)
    volumes = [mount.split(":")[1] for mount in SERVICES[name]["volumes"] if checks.host_path(mount) is None]
    assert volumes
    assert [inside[volume].uid for volume in volumes] == [images.STAND_INS[name].uid] * len(volumes)


def test_the_collector_is_given_its_volume_by_another_service() -> None:
    otelcol, owner = SERVICES["otelcol"], SERVICES["otelcol-volume"]
    uid = images.STAND_INS["otelcol"].uid
    assert owner["entrypoint"] == ["chown", f"{uid}:{uid}", "/var/lib/otelcol"]
    assert owner["volumes"][0] in otelcol["volumes"]
    assert otelcol["depends_on"]["otelcol-volume"] == {"condition": "service_completed_successfully"}


def test_the_dockerfile_builds_on_a_pinned_python(tmp_path) -> None:
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-bookworm", image_of_dockerfile(ROOT / "Dockerfile"))
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    with pytest.raises(ValueError, match="names no PYTHON_IMAGE"):
        image_of_dockerfile(tmp_path / "Dockerfile")


def test_the_dockerfile_ends_as_a_user_with_a_health_check_and_needs_no_buildkit() -> None:
    text = (ROOT / "Dockerfile").read_text()
    stages = dict(re.findall(r"^FROM \S+ AS (\w+)\n(.*?)(?=^FROM |\Z)", text, re.MULTILINE | re.DOTALL))
    assert list(stages)[-1] == "gateway", "the default of `docker build`"
    assert "USER 10001:10001" in stages["runtime"]
    assert '/health/live"' in stages["gateway"].replace("'", '"')
    assert re.search(r'^CMD \["python"', stages["gateway"], re.MULTILINE)
    assert "pip" not in stages["runtime"] + stages["gateway"]
    assert "--require-hashes" in stages["packages"]
    assert not re.search(r"--mount|--link|--chmod|<<", text)


def test_what_is_missing_is_one_line_with_its_packages(monkeypatch) -> None:
    monkeypatch.setattr("tests.compose.standins.daemon.shutil.which", lambda _name: None)
    with pytest.raises(DaemonError, match=r"apt-get install .*busybox-static .*docker\.io"):
        check_machine()


def test_who_is_not_root_is_told_so(monkeypatch) -> None:
    monkeypatch.setattr("tests.compose.standins.daemon.os.geteuid", lambda: 1000)
    with pytest.raises(DaemonError, match="needs root"):
        check_machine()


@pytest.mark.parametrize("arguments", [[], ["run"], ["test", "everything"]])
def test_senseless_arguments_are_usage(arguments: list[str], capsys) -> None:
    assert main(arguments) == 2
    assert "python -m tests.compose.standins test" in capsys.readouterr().err


def test_every_overlay_has_a_case() -> None:
    assert {overlay for case in CASES.values() for overlay in case.overlays} == set(checks.OVERLAYS)


def test_mounts_are_found_below_the_folder_alone() -> None:
    mounts = "nsfs /srv/a/exec/netns/default nsfs rw 0 0\nproc /proc proc rw 0 0\nov /srv/a/data ext4 rw 0 0\nx /srv/ab/c x rw 0 0\n"
    assert mounts_below(Path("/srv/a"), mounts) == ["/srv/a/exec/netns/default", "/srv/a/data"]


def test_tables_that_were_not_there_are_emptied() -> None:
    assert _with_all_tables("") == (
        "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n"
        "*nat\n:PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\nCOMMIT\n"
    )
    before = "*filter\n:INPUT DROP [0:0]\nCOMMIT\n*nat\n:POSTROUTING ACCEPT [0:0]\nCOMMIT\n"
    assert _with_all_tables(before) == before
