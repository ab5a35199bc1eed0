"""The gateway as a process of its own, between the official OpenAI SDK and an upstream process: one trace, one count everywhere."""

import os
import sqlite3
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.harness.otlp_receiver import OtlpReceiver
from tests.harness.programs import UPSTREAM, Programs, running_programs

pytestmark = pytest.mark.live

CONFIG = """
[server]
port = 0
[monitoring]
share_seconds = 0.0
[database]
url = "sqlite+aiosqlite:///{folder}/gateway.db"
[[providers]]
name = "first"
base_url = "{upstream}/flaky/v1"
[[providers]]
name = "second"
base_url = "{upstream}/healthy/v1"
[[models]]
name = "test/model"
[[models.routes]]
provider = "first"
upstream_model = "f"
input_usd_per_million = 1.0
output_usd_per_million = 2.0
[[models.routes]]
provider = "second"
upstream_model = "s"
input_usd_per_million = 3.0
output_usd_per_million = 4.0
"""


def script(**personas: dict) -> dict:
    return {"x_script": personas}


ANSWER = {"prompt_tokens": 10, "completion_tokens": 5}


@pytest.fixture
def programs(tmp_path: Path) -> Iterator[Programs]:
    with running_programs(tmp_path) as programs:
        yield programs


def test_requests_through_processes_are_counted_once_everywhere(tmp_path: Path, programs: Programs) -> None:
    config = tmp_path / "gateway.toml"
    config.write_text(CONFIG.format(folder=tmp_path, upstream=programs.start(*UPSTREAM).url))
    environ = os.environ | {"GATEWAYZ_CONFIG": str(config)}
    secret = programs.create_key(environ)
    with OtlpReceiver() as receiver:
        gateway = programs.start("app", "serve", environ=environ | {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint})
        try:
            address = gateway.url
            client = openai.OpenAI(api_key=secret, base_url=f"{address}/v1", max_retries=0)
            messages = [{"role": "user", "content": "canary-prompt-text"}]
            plain = client.chat.completions.with_raw_response.create(
                model="test/model", messages=messages, extra_body=script(flaky=ANSWER)
            )
            assert plain.parse().usage.completion_tokens == 5
            # The first provider fails, the second one streams.
            stream = client.chat.completions.create(
                model="test/model",
                messages=messages,
                stream=True,
                extra_body=script(flaky={"status": 500}, healthy=ANSWER),
            )
            chunks = list(stream)
            assert chunks[-1].choices[0].finish_reason == "stop"
            assert all(chunk.usage is None for chunk in chunks)
            with pytest.raises(openai.NotFoundError):
                client.chat.completions.create(model="no/such", messages=messages)
            with pytest.raises(openai.AuthenticationError):
                client.with_options(api_key="gwz_wrong").chat.completions.create(model="test/model", messages=messages)
            with urllib.request.urlopen(f"{address}/metrics") as response:  # noqa: S310  loopback
                exposition = response.read().decode()
        finally:
            exit_code = gateway.stop()
    stdout = gateway.output()
    assert exit_code == 0
    samples = {
        (sample.name, *sorted(value for key, value in sample.labels.items() if key != "app_name")): sample.value
        for family in text_string_to_metric_families(exposition)
        for sample in family.samples
    }

    assert samples["fastapi_requests_total", "/v1/chat/completions", "200", "POST"] == 2
    assert samples["fastapi_requests_total", "/v1/chat/completions", "401", "POST"] == 1
    assert samples["fastapi_requests_total", "/v1/chat/completions", "404", "POST"] == 1
    assert samples["model_inference_requests_total", "first", "success", "test/model"] == 1
    assert samples["model_inference_requests_total", "error", "first", "test/model"] == 1
    assert samples["model_inference_requests_total", "second", "success", "test/model"] == 1
    # Text 0.0.4 types the bare name as a counter; prometheus_client's parser would put its own `_total` behind it.
    assert 'gatewayz_cost_by_provider{provider="first"} 2e-05' in exposition
    assert 'gatewayz_cost_by_provider{provider="second"} 5e-05' in exposition
    # Every signal left the process, one server span and one log line per request, one client span per attempt.
    assert len(receiver.spans_named("POST /v1/chat/completions")) == 4
    assert len(receiver.spans_named("chat test/model")) == 3
    trace = receiver.trace(plain.headers["x-trace-id"])
    assert {span["name"] for span in trace} == {"POST /v1/chat/completions", "chat test/model"}
    requests = [line for line in stdout.splitlines() if '"logger":"gatewayz.request"' in line]
    assert len(requests) == 4
    assert sum(plain.headers["x-trace-id"] in line for line in requests) == 1
    pushed = receiver.metric_value(
        "model_inference_requests_total", provider="second", model="test/model", status="success"
    )
    assert pushed == 1
    for leak in (secret, "canary-prompt-text"):
        assert leak not in stdout
        assert leak not in exposition
        assert leak not in repr(receiver.spans) + repr(receiver.log_records)
    with sqlite3.connect(tmp_path / "gateway.db") as database:
        assert database.execute("SELECT count(*), sum(cost_nanousd) FROM ledger").fetchone() == (2, 70_000)
    database.close()
