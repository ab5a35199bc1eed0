"""Tags of calls: from allow-listed headers into the ledger and the log line, bounded, and into no metric and no span."""

import json

import pytest

from app.config.checks import find_all
from app.config.schema import AppConfig, ServerConfig
from tests.harness.metered_gateway import GatewayTelemetry

pytestmark = pytest.mark.live

CONFIG = ServerConfig(max_body_bytes=1_000_000, tag_headers={"team": "X-Team", "job": "x-job"})
BODY = json.dumps({"model": "acme/tiny", "messages": [{"role": "user", "content": "Say hello"}]}).encode()


async def send(gateway, headers):
    return await gateway.post("/v1/chat/completions", BODY, headers)


async def test_tags_are_in_the_row_and_in_the_line_and_nowhere_else(make_upstream, make_gateway):
    telemetry = GatewayTelemetry([("alpha", "acme/tiny")], console=True)
    gateway = await make_gateway(await make_upstream(), server_config=CONFIG, recorder=telemetry.recorder)
    headers = {"x-team": "red/1", "X-Job": "batch 7", "x-other": "unnamed"}
    assert (await send(gateway, headers)).status == 200
    assert (await send(gateway, {"x-team": ""})).status == 200
    assert [row.tags for row in gateway.ledger.rows] == ['{"team":"red/1","job":"batch 7"}', None]
    text = telemetry.pipeline.exposition.respond(method="GET", accept=None, accept_encoding=None).body.decode()
    assert "acme/tiny" in text
    assert "red/1" not in text
    objects = telemetry.objects()
    lines = [each for each in objects if each.get("logger") == "gatewayz.request"]
    assert [line.get("tags") for line in lines] == [{"team": "red/1", "job": "batch 7"}, None]
    spans = [each for each in objects if "kind" in each]
    assert spans
    assert "red/1" not in json.dumps(spans)


@pytest.mark.parametrize("value", ["x" * 65, "-x", "a;b", 'a"b', "a\tb", "sch\u00f6n", "=1+1"])
async def test_a_value_that_is_not_allowed_is_refused(make_upstream, make_gateway, value):
    upstream = await make_upstream()
    gateway = await make_gateway(upstream, server_config=CONFIG)
    response = await send(gateway, {"x-team": value})
    assert response.status == 400
    assert response.json["error"]["message"].startswith("The header x-team must be there once, with 1 to 64 ")
    assert gateway.ledger.rows == upstream.exchanges == []


async def test_a_header_that_is_there_twice_is_refused(make_upstream, make_gateway):
    gateway = await make_gateway(await make_upstream(), server_config=CONFIG)
    assert (await send(gateway, [("x-team", "a"), ("x-team", "b")])).status == 400


def test_names_and_headers_in_the_configuration():
    def mistakes(headers):
        return [each.key_path for each in find_all(AppConfig(server=ServerConfig(tag_headers=headers)))]

    assert mistakes({"team": "X-Team", "cost_center2": "x-cc"}) == []
    assert mistakes({f"t{number}": f"x-{number}" for number in range(9)}) == ["server.tag_headers"]
    assert mistakes({"Team": "x-team"}) == mistakes({"a'b": "x-team"}) == mistakes({"": "x"}) == ["server.tag_headers"]
    assert mistakes({"a": "x-team", "b": "X-TEAM"}) == ["server.tag_headers"]
    assert (
        mistakes({"a": "Authorization"}) == mistakes({"a": "x team"}) == mistakes({"a": ""}) == ["server.tag_headers.a"]
    )
