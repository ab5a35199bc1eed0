"""`python -m demo.traffic.replay` as the containers run it: a folder is prepared, traffic runs against a gateway elsewhere, a signal ends it."""

import json
import os
from pathlib import Path

import aiohttp
import pytest

from demo.environment import GATEWAY_READY_LINE
from demo.gateway_config import LIMITED_PLANS
from demo.process import Child, run_to_end, start_child
from demo.traffic.replay import main, prepare
from demo.upstream import scripted_upstream
from tests.harness.exposition import scrape
from tests.harness.polling import until

pytestmark = pytest.mark.live


async def test_traffic_for_a_gateway_elsewhere(tmp_path: Path) -> None:
    folder = tmp_path / "shared"
    children: list[Child] = []

    async def start(name: str, *arguments: str) -> Child:
        child = await start_child(
            name, arguments, log_path=tmp_path / f"{name}.log", environ={**os.environ, "SEED": "5"}
        )
        children.append(child)
        return child

    try:
        upstream = await start("upstream", "demo.upstream.scripted_upstream")
        await upstream.wait_ready(scripted_upstream.READY_LINE)
        await run_to_end(("demo.traffic.replay", "prepare", str(folder), "--upstream", upstream.url))
        keys = json.loads((folder / "keys.json").read_text())
        assert keys.keys() == {"main", "revoked", *(plan.name for plan in LIMITED_PLANS)}
        assert (folder / "keys.json").stat().st_mode & 0o077 == 0

        # A second start of the containers keeps the keys and the database.
        await prepare(folder, upstream_url=upstream.url)
        assert json.loads((folder / "keys.json").read_text()) == keys

        gateway = await start("gateway", "app", "--config", str(folder / "gateway.toml"), "serve")
        await gateway.wait_ready(GATEWAY_READY_LINE)
        traffic = await start(
            "traffic", "demo.traffic.replay", "send", str(folder), "--gateway", gateway.url, "--upstream", upstream.url
        )

        async def has_sent() -> bool:
            assert traffic.exit_code is None, traffic.last_lines()
            return await _successes(gateway.url) >= 20

        await until(has_sent, traffic.last_lines)
        assert await traffic.stop() == 0, traffic.last_lines()
        assert " requests (0 in flight)" in traffic.last_lines()
    finally:
        for child in reversed(children):
            await child.stop()


async def _successes(gateway_url: str) -> float:
    async with aiohttp.ClientSession() as session:
        samples = await scrape(session, gateway_url)
    return sum(
        value
        for (name, labels), value in samples.items()
        if name == "model_inference_requests_total" and dict(labels)["status"] == "success"
    )


def test_a_folder_that_was_not_prepared_is_one_line(tmp_path: Path, capsys) -> None:
    assert main(["send", str(tmp_path), "--gateway", "http://127.0.0.1:1", "--upstream", "http://127.0.0.1:1"]) == 1
    assert "keys.json" in capsys.readouterr().err


def test_a_setting_that_makes_no_sense_is_usage(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("SPEED", "fast")
    assert main(["send", str(tmp_path), "--gateway", "http://127.0.0.1:1", "--upstream", "http://127.0.0.1:1"]) == 2
    assert "SPEED" in capsys.readouterr().err
