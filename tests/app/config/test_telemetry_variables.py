"""A gateway process with `OTEL_*` variables that no program understands: it starts, names each once, and serves."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest

pytestmark = pytest.mark.live
ROOT = Path(__file__).parents[3]
INHERITED = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "GATEWAYZ_"))}
TRACE_ID = "80f198ee56343ba864fe8b2a57d3eff7"
NONSENSE = {
    "OTEL_EXPORTER_OTLP_ENDPOINT": "http://user:s3cret@",
    "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": "delta",
    "OTEL_RESOURCE_ATTRIBUTES": "a=b,c",
    "OTEL_TRACES_EXPORTER": "zipkin",
    "OTEL_TRACES_SAMPLER": "never",
    "OTEL_BSP_SCHEDULE_DELAY": "soon",
    "OTEL_LOG_LEVEL": "loud",
    "OTEL_PYTHON_CONTEXT": "nonsense",
    "OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED": "nonsense",
    # The SDK reads these by itself, some of them while it is imported.
    "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "many",
    "OTEL_ATTRIBUTE_COUNT_LIMIT": "-1",
    "OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT": "x",
    "OTEL_METRICS_EXEMPLAR_FILTER": "x",
    "OTEL_PROPAGATORS": "none,b3multi",
}


def serve(folder: Path, environ: Mapping[str, str], headers: Mapping[str, str]) -> tuple[httpx.Response, str, str]:
    """Start a gateway, send one request, stop it; return the response, stdout and stderr."""
    config = folder / "gateway.toml"
    config.write_text(f'[server]\nport = 0\n[database]\nurl = "sqlite+aiosqlite:///{folder}/gateway.db"\n')
    process = subprocess.Popen(
        [sys.executable, "-m", "app", "serve", "--config", str(config)],
        cwd=ROOT,
        env={**INHERITED, **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    said = ""
    try:
        while (listening := re.search(r"listening on (http://\S+)", said)) is None:
            line = process.stderr.readline()
            assert line, said
            said += line
        response = httpx.get(f"{listening[1]}/v1/models", headers=dict(headers), timeout=300)
        metrics = httpx.get(f"{listening[1]}/metrics", timeout=300).text
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=300)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0
    assert f"\ngatewayz_telemetry_ignored_settings {said.count('warning: OTEL_')}\n" in metrics or not metrics
    return response, out, said + err


def test_each_value_that_cannot_be_used_is_one_warning_and_the_gateway_serves(tmp_path: Path) -> None:
    b3 = {"X-B3-TraceId": TRACE_ID, "X-B3-SpanId": "e457b5a2e4d86bd1", "X-B3-Sampled": "1"}
    response, out, err = serve(tmp_path, NONSENSE, b3)
    assert response.status_code == 401
    assert response.headers["x-trace-id"] == TRACE_ID
    warnings = [line for line in err.splitlines() if line.startswith("gateway: warning: OTEL_")]
    for name in NONSENSE:
        assert sum(name in line for line in warnings) == 1, name
    assert "s3cret" not in out + err
    assert "Traceback" not in out + err


@pytest.mark.parametrize("environ", [{}, {"OTEL_SDK_DISABLED": "true", "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "x"}])
def test_nothing_is_warned_of_where_there_is_nothing_or_telemetry_is_off(
    tmp_path: Path, environ: Mapping[str, str]
) -> None:
    assert "OTEL_" not in serve(tmp_path, environ, {})[2]
