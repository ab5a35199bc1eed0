"""What docs/gateway.md and docs/instrument-your-app.md say of the console, done: a gateway without a provider, an application's LLM calls."""

import os
import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from demo.upstream.script import PERSONAS
from otel import Telemetry
from tests.console.page.observed_gateway import start_console
from tests.harness.polling import wait_for
from tests.harness.programs import UPSTREAM, running_programs
from tests.harness.served import ROOT

pytestmark = pytest.mark.live

QUESTIONS = 20


def get(page_url: str, path: str) -> Any:
    return httpx.get(f"{page_url}/api/{path}", timeout=60).json()


def clean_environ() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "GATEWAYZ_"))}


def test_the_gateway_without_a_provider_serves_what_its_flaky_persona_fails(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "gateway.md").read_text()
    section = page.split("### Without a provider\n", 1)[1].split("\n### ", 1)[0]
    found = re.search(r"```toml\n(.*?)```", section, re.DOTALL)
    assert found is not None
    assert set(re.findall(r"`(\w+)`", section.split("```", 1)[0])) <= set(PERSONAS)
    with running_programs(tmp_path) as programs:
        environ = clean_environ()
        page_url, otlp_url = start_console(programs, tmp_path, environ)
        upstream = programs.start(*UPSTREAM)
        config = tmp_path / "try.toml"
        database = f'[server]\nport = 0\n[database]\nurl = "sqlite+aiosqlite:///{tmp_path / "try.db"}"\n'
        config.write_text(database + found[1].replace("http://127.0.0.1:8001", upstream.url))
        environ |= {"GATEWAYZ_CONFIG": str(config), "OTEL_EXPORTER_OTLP_ENDPOINT": otlp_url}
        key = programs.create_key(environ, plan="free")
        gateway = programs.start("app", "serve", environ=environ)
        for number in range(QUESTIONS):
            response = httpx.post(
                f"{gateway.url}/v1/chat/completions",
                headers={"authorization": f"Bearer {key}"},
                json={"model": "tiny", "messages": [{"role": "user", "content": f"question {number}"}]},
                timeout=60,
            )
            assert response.status_code == 200, response.text
        wait_for(lambda: len(get(page_url, "requests?limit=500")["rows"]) == QUESTIONS, timeout_seconds=60)
        groups = wait_for(lambda: get(page_url, "failures")["groups"], timeout_seconds=60)
    assert {group["provider"] for group in groups} == {"flaky"}


def test_llm_calls_of_an_application_with_the_documented_names_are_on_the_gateways_screens(tmp_path: Path) -> None:
    with running_programs(tmp_path) as programs:
        page_url, otlp_url = start_console(programs, tmp_path, clean_environ())
        telemetry = Telemetry.from_environ(
            service="shop",
            llm={"openai": ["gpt-4o-mini"]},
            prefix="gatewayz",
            environ={"OTEL_EXPORTER_OTLP_ENDPOINT": otlp_url, "OTEL_METRIC_EXPORT_INTERVAL": "500"},
        )
        with telemetry:
            for _ in range(3):
                with telemetry.llm.call("openai", "gpt-4o-mini") as call:
                    call.usage(100, 20, cost_usd="0.25")
            with pytest.raises(TimeoutError), telemetry.llm.call("openai", "gpt-4o-mini"):
                raise TimeoutError
        cost = wait_for(lambda: get(page_url, "cost")["by_provider"], timeout_seconds=60)
        rows = get(page_url, "now")["rows"]
        groups = get(page_url, "failures")["groups"]
        deliveries = get(page_url, "pipeline")["deliveries"]
    assert [(row["name"], row["cost_usd"], row["requests"]) for row in cost] == [("openai", 0.75, 4)]
    attempts = {(row["kind"], row["name"]): row["errors"]["attempts"] for row in rows}
    assert attempts == {("provider", "openai"): 4, ("model", "gpt-4o-mini"): 4}
    assert [(group["provider"], group["count"]) for group in groups] == [("openai", 1)]
    assert {delivery["service"] for delivery in deliveries} == {"shop"}
