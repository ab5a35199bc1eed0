"""The doctor as a process on a gateway that has just started: no alarm, whatever of a pipeline there is."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from otel.testing.otlp_receiver import OtlpReceiver

pytestmark = pytest.mark.live
ROOT = Path(__file__).parents[3]
INHERITED = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "GATEWAYZ_"))}
STORES = ("collector-health", "collector-metrics", "prometheus", "loki", "tempo", "alertmanager", "grafana")


@contextmanager
def gateway(folder: Path, environ: Mapping[str, str], share_seconds: float) -> Iterator[str]:
    """Run a gateway; yield its address as soon as it listens."""
    config = folder / "gateway.toml"
    config.write_text(
        f"[server]\nport = 0\n[monitoring]\nshare_seconds = {share_seconds}\n"
        f'[database]\nurl = "sqlite+aiosqlite:///{folder}/gateway.db"\n'
    )
    command = [sys.executable, "-m", "app", "serve", "--config", str(config)]
    process = subprocess.Popen(
        command, cwd=ROOT, env={**INHERITED, **environ}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    try:
        said = ""
        while (listening := re.search(r"listening on (http://\S+)", said)) is None:
            line = process.stderr.readline()
            assert line, said
            said += line
        yield listening[1]
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()


def doctor(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "app", "doctor", *arguments],
        cwd=ROOT, env=INHERITED, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def test_an_endpoint_that_takes_everything_and_no_store(tmp_path: Path) -> None:
    off = [part for name in STORES for part in (f"--{name}", "off")]
    with OtlpReceiver() as receiver:
        environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint, "OTEL_METRIC_EXPORT_INTERVAL": "1000"}
        with gateway(tmp_path, environ, share_seconds=2.0) as url:
            for _ in range(2):  # the first meets a fresh gateway
                ended = doctor("--gateway", url, "--otlp", receiver.endpoint, *off)
                assert ended.returncode == 0, ended.stdout + ended.stderr
                assert "BROKEN" not in ended.stdout
                assert re.search(r"export\.traces_taken +ok", ended.stdout)
                assert re.search(r"gateway\.families +ok", ended.stdout)


def test_no_pipeline_at_all(tmp_path: Path) -> None:
    with gateway(tmp_path, {}, share_seconds=1.0) as url:
        ended = doctor("--gateway", url, "--otlp", "off")
        assert ended.returncode == 0, ended.stdout + ended.stderr
        assert "not used: " in ended.stdout
        wrong = doctor("--gateway", url, "--otlp", "off", "--key", "gwz_wrong")
        assert wrong.returncode == 1
        assert "gateway.request" in wrong.stdout.splitlines()[-1]
