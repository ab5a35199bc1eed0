"""Both wheels, built and installed into fresh environments: `otel` without a web framework, and the service in an empty folder."""

import os
import re
import shutil
import socket
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import httpx
import pytest

from packages.build import ROOT, build, find_uv, version

BLOCKED = ("aiohttp", "app", "grpc", "litestar", "opentelemetry.exporter.prometheus", "sqlalchemy", "uvloop")
RUN = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if any(name == each or name.startswith(each + ".") for each in sys.argv[1].split(",")):
            raise ImportError(name + " is not installed")
sys.meta_path.insert(0, Blocked())
import uvicorn
uvicorn.run("fastapi_app:app", fd=0, log_level="warning")
"""


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    return build(tmp_path_factory.mktemp("wheels"))


@pytest.fixture
def install(tmp_path):
    """Return the folder of a fresh environment with one wheel and the packages (not the sources) of this one."""

    def run(wheel):
        environment = tmp_path / "environment"
        subprocess.run([find_uv(), "venv", "--quiet", "--offline", "--python", sys.executable, environment], check=True)
        python = environment / "bin" / "python"
        subprocess.run(
            [find_uv(), "pip", "install", "--quiet", "--offline", "--no-deps", "--python", python, wheel], check=True
        )
        where = subprocess.run(
            [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
            check=True, capture_output=True, text=True,
        )  # fmt: skip
        (Path(where.stdout.strip()) / "project.pth").write_text(sysconfig.get_path("purelib") + "\n")
        return environment

    return run


def variables(folder):
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "GATEWAYZ_", "PYTHON"))}
    return {**kept, "HOME": str(folder)}


@pytest.mark.live
def test_the_wheel_of_otel_runs_the_first_example_without_a_framework_of_ours(wheels, install, tmp_path):
    _, wheel = wheels
    environment = install(wheel)
    shutil.copy(ROOT / "docs" / "examples" / "fastapi_app.py", tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        process = subprocess.Popen(
            [environment / "bin" / "python", "-c", RUN, ",".join(BLOCKED)],
            cwd=tmp_path, stdin=listener, stderr=subprocess.PIPE, text=True, env=variables(tmp_path),
        )  # fmt: skip
    try:
        order = httpx.post(f"{url}/orders/3?method=card", timeout=60)
        text = httpx.get(f"{url}/metrics", timeout=60).text
    finally:
        process.terminate()
        _, said = process.communicate(timeout=60)
    assert order.json() == {"order": 3}
    assert 'shop_orders_total{method="card"} 1\n' in text, said
    assert re.search(
        r'^fastapi_requests_total\{.*path="/orders/\{order_id\}",status_code="200"\} 1$', text, re.MULTILINE
    )


def test_the_wheel_of_otel_names_only_what_it_imports(wheels):
    service, otel = wheels
    with zipfile.ZipFile(otel) as archive:
        names = archive.namelist()
        metadata = archive.read(next(name for name in names if name.endswith("METADATA"))).decode()
    required = re.findall(r"^Requires-Dist: ([\w-]+)(?!.*extra)", metadata, re.MULTILINE)
    assert sorted(required) == [
        "msgspec", "opentelemetry-api", "opentelemetry-exporter-otlp-proto-common", "opentelemetry-proto", "opentelemetry-sdk",
    ]  # fmt: skip
    assert f"\nVersion: {version()}\n" in metadata
    assert "otel/py.typed" in names
    assert {name.partition("/")[0] for name in names} == {"otel", f"gatewayz_otel-{version()}.dist-info"}
    assert service.name == f"gatewayz_observability-{version()}-py3-none-any.whl"


def test_the_wheel_of_the_service_has_the_built_page_and_not_what_it_is_built_from(wheels):
    with zipfile.ZipFile(wheels[0]) as archive:
        names = {name for name in archive.namelist() if name.startswith("console/page/") and not name.endswith("/")}
    static = ROOT / "console" / "page" / "static"
    assert names == {f"console/page/static/{path.name}" for path in static.iterdir()}


def until_listening(process):
    """Return what the gateway printed up to its address, or up to its end."""
    lines = []
    for line in process.stderr:
        lines.append(line)
        if "listening on" in line:
            break
    return "".join(lines)


@pytest.mark.live
def test_the_wheel_of_the_service_works_in_an_empty_folder(wheels, install, tmp_path):
    service, _ = wheels
    gatewayz = install(service) / "bin" / "gatewayz"
    empty = tmp_path / "empty"
    empty.mkdir()

    def run(*arguments):
        return subprocess.run(
            [gatewayz, *arguments],
            cwd=empty,
            env=variables(empty),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    shown = run("--version")
    assert (shown.returncode, shown.stdout) == (0, f"gatewayz {version()}\n")
    assert not list(empty.iterdir())

    created = run("keys", "create", "--name", "me", "--plan", "free")
    assert (created.returncode, created.stdout[:4]) == (0, "gwz_")
    assert len([line for line in created.stderr.splitlines() if "no configuration file" in line]) == 1

    process = subprocess.Popen(
        [gatewayz, "serve", "--port", "0"],
        cwd=empty, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=variables(empty),
    )  # fmt: skip
    try:
        printed = until_listening(process)
        address = re.search(r"listening on (\S+)", printed)
        assert address is not None, printed
        assert "no configuration file" in printed
        assert httpx.get(f"{address[1]}/health/live", timeout=60).status_code == 200
    finally:
        process.terminate()
        process.communicate(timeout=60)
    assert process.returncode == 0
