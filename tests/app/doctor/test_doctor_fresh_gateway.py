"""The doctor on a gateway process that has just started: no alarm, whatever of a pipeline there is."""

import os
import re
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from app.doctor.checks import CHECKS
from app.doctor.findings import Finding, State, judge_all
from app.doctor.observe import observe
from app.doctor.settings import DEFAULTS, SIGNALS, Settings, otlp_from
from app.doctor.web import Web
from otel.delivery.build import build_sender
from tests.harness.otlp_receiver import OtlpReceiver

pytestmark = pytest.mark.live
ROOT = Path(__file__).parents[3]
INHERITED = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "GATEWAYZ_"))}


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
        process.communicate(timeout=300)
    finally:
        process.kill()
        process.wait()


async def findings(url: str, otlp: str, **changes: Any) -> dict[str, Finding]:
    """Run the doctor from the same parts as its command, as patient as a busy machine needs it."""
    settings = Settings(
        addresses=dict.fromkeys(DEFAULTS, "") | {"gateway": url},
        otlp=otlp_from(otlp, {}),
        timeout_seconds=120.0,
        request_seconds=60.0,
        **changes,
    )
    async with Web(settings.request_seconds) as web:
        facts = await observe(settings, web, make_sender=build_sender, random_bytes=secrets.token_bytes, log=print)
    return {finding.check: finding for finding in judge_all(CHECKS, facts)}


def broken(found: Mapping[str, Finding]) -> dict[str, str]:
    return {name: each.found for name, each in found.items() if each.state is State.BROKEN}


async def test_an_endpoint_that_takes_everything_and_no_store(tmp_path: Path) -> None:
    with OtlpReceiver() as receiver:
        environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint, "OTEL_METRIC_EXPORT_INTERVAL": "1000"}
        with gateway(tmp_path, environ, share_seconds=1.0) as url:
            for _ in range(2):  # the first meets a fresh gateway
                found = await findings(url, receiver.endpoint)
                assert broken(found) == {}
                judged = {"gateway.families", *(f"export.{signal}_taken" for signal in SIGNALS)}
                assert {name for name in judged if found[name].state is not State.OK} == set()


async def test_no_pipeline_at_all(tmp_path: Path) -> None:
    with gateway(tmp_path, {}, share_seconds=1.0) as url:
        found = await findings(url, "off")
        assert broken(found) == {}
        assert found["gateway.families"].state is State.OK
        assert {found[f"export.{signal}_on"].state for signal in SIGNALS} == {State.UNUSED}
        assert set(broken(await findings(url, "off", api_key="gwz_wrong"))) == {"gateway.request"}
