"""The doctor asks each configured provider whether it responds, takes the key, and lists the models that are routed to it."""

import asyncio
import json

import pytest

from app.cli.main import main

CONFIG = """
[[providers]]
name = "alpha"
base_url = "{url}/alpha/v1"
api_key_env = "ALPHA_KEY"
[[models]]
name = "small"
routes = [{{ provider = "alpha", upstream_model = "s-1" }}]
[[models]]
name = "large"
routes = [{{ provider = "alpha", upstream_model = "l-1" }}]
"""
LISTED = {"object": "list", "data": [{"id": "s-1"}, {"id": "l-1"}]}
MODELS = "/alpha/v1/models"


@pytest.fixture
def run(pipeline, tmp_path, capsys):
    """Return what runs the doctor on a gateway without a pipeline and gives the provider's checks."""

    async def run(response, text=CONFIG, environ=None):
        if response is not None:
            pipeline.responses[MODELS] = response
        path = tmp_path / "g.toml"
        path.write_text(text.format(url=pipeline.url))
        pipeline.pushed = set()
        arguments = ["doctor", "--config", str(path), "--gateway", f"{pipeline.url}/gateway", "--otlp", "off", "--json"]
        code = await asyncio.to_thread(main, arguments, {"ALPHA_KEY": "k-alpha"} if environ is None else environ)
        printed = capsys.readouterr()
        document = json.loads(printed.out)
        assert code == (1 if document["broken"] else 0), printed
        assert "k-alpha" not in printed.out + printed.err
        return {
            each["check"].removeprefix("provider.alpha."): each
            for each in document["checks"]
            if each["check"].startswith("provider.")
        }

    return run


async def test_a_provider_that_is_well(run, pipeline):
    checks = await run((200, LISTED))
    assert {name: each["state"] for name, each in checks.items()} == {"reachable": "ok", "key": "ok", "models": "ok"}
    [request] = [each for each in pipeline.seen if each.path == MODELS]
    assert request.headers["authorization"] == "Bearer k-alpha"


@pytest.mark.parametrize(
    ("response", "broken", "said"),
    [
        ((401, {}), "key", "the key of ALPHA_KEY is refused"),
        ((403, {}), "key", "ALPHA_KEY"),
        ((404, "nope"), "models", "base_url"),
        ((301, "moved"), "models", "base_url"),
        ((503, {}), "reachable", "returned 503"),
        ((200, {"data": [{"id": "s-1"}]}), "models", "not listed: l-1"),
    ],
)
async def test_each_fault_is_named_where_it_is(run, response, broken, said):
    checks = await run(response)
    assert [name for name, each in checks.items() if each["state"] == "broken"] == [broken]
    assert said in checks[broken]["found"] + checks[broken]["fix"]


async def test_a_provider_that_does_not_respond(run, pipeline):
    pipeline.down = {"alpha"}
    checks = await run(None)
    assert [name for name, each in checks.items() if each["state"] == "broken"] == ["reachable"]
    assert checks["models"]["follows_from"] == "provider.alpha.reachable"


async def test_a_provider_that_wants_a_key_and_has_none(run):
    checks = await run((401, {}), CONFIG.replace('api_key_env = "ALPHA_KEY"', ""))
    assert checks["key"]["state"] == "broken"
    assert "api_key_env is missing" in checks["key"]["fix"]


async def test_a_key_that_the_doctor_does_not_have_is_no_fault(run):
    checks = await run((401, {}), environ={})
    assert {each["state"] for each in checks.values()} == {"ok", "unknown"}
    assert "ALPHA_KEY is not set where the doctor runs" in checks["key"]["found"]


async def test_a_list_that_is_none_is_unknown(run):
    assert (await run((200, "<html>")))["models"]["state"] == "unknown"
