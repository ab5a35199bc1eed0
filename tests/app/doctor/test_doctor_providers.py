"""The doctor asks each configured provider whether it responds, takes the key, and lists the models that are routed to it.

It sends what the gateway's probes send.
"""

import asyncio
import base64
import json
from contextlib import asynccontextmanager

import pytest

from app.cli.main import main
from app.config.load import load_config
from app.gateway.clock import ManualClock
from app.gateway.provider_endpoint import ProviderSecrets
from app.providers.probes import Probes
from app.providers.registry import ProviderStates
from tests.harness.recording import RecordingRecorder

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
AWAY = "http://provider.example/alpha/v1"
"""A base URL that only a proxy can reach."""
ALL_OK = {"reachable": "ok", "key": "ok", "models": "ok"}


def configured(*lines, base_url="{url}/alpha/v1"):
    """Return the configuration with further keys of the provider, or with another base URL."""
    key = 'api_key_env = "ALPHA_KEY"'
    return CONFIG.replace("{url}/alpha/v1", base_url).replace(key, "\n".join((key, *lines)))


def states(checks):
    return {name: each["state"] for name, each in checks.items()}


@asynccontextmanager
async def listening(serve):
    """Run a raw server on loopback, and return its address."""
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


class Proxy:
    """An HTTP proxy that sends all requests to one server, or responds itself with `status`. It keeps the heads that it got."""

    def __init__(self, server_url, status=None):
        self.heads = []
        self._server = server_url.removeprefix("http://")
        self._status = status

    async def serve(self, reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.heads.append(head.lower())
        if self._status is not None:
            writer.write(b"HTTP/1.1 %d Refused\r\ncontent-length: 0\r\n\r\n" % self._status)
        else:
            host, port = self._server.split(":")
            upstream, request = await asyncio.open_connection(host, int(port))
            line, rest = head.split("\r\n", 1)
            method, url, version = line.split(" ")
            path = url.removeprefix("http://provider.example")
            request.write(f"{method} {path} {version}\r\nconnection: close\r\n{rest}".encode())
            writer.write(await upstream.read())
            request.close()
        await writer.drain()
        writer.close()


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
        assert "hidden" not in printed.out + printed.err
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


@pytest.mark.parametrize("environ", [{}, {"ALPHA_KEY": " "}, {"ALPHA_KEY": "k-alpha\x01"}])
async def test_a_key_that_the_doctor_does_not_have_is_no_fault(run, environ):
    checks = await run((401, {}), environ=environ)
    assert {each["state"] for each in checks.values()} == {"ok", "unknown"}
    assert "ALPHA_KEY is not set where the doctor runs" in checks["key"]["found"]


async def test_a_list_that_is_none_is_unknown(run):
    assert (await run((200, "<html>")))["models"]["state"] == "unknown"


async def test_the_key_goes_into_its_header(run, pipeline):
    assert states(await run((200, LISTED), configured('api_key_header = "api-key"'))) == ALL_OK
    [request] = [each for each in pipeline.seen if each.path == MODELS]
    assert request.headers["api-key"] == "k-alpha"
    assert "authorization" not in request.headers


async def test_the_query_of_the_base_url_follows_the_path(run, pipeline):
    text = configured(base_url="{url}/alpha/v1?api-version=2024-10-21")
    assert states(await run((200, LISTED), text)) == ALL_OK
    assert [each.raw_path for each in pipeline.seen if each.path == MODELS] == [f"{MODELS}?api-version=2024-10-21"]


async def test_the_probe_path_is_below_the_base_url(run, pipeline):
    pipeline.responses["/alpha/v1/list/all"] = (200, LISTED)
    text = configured('probe_path = "list/all"', base_url="{url}/alpha/v1/?api-version=1")
    assert states(await run(None, text)) == ALL_OK
    assert "/alpha/v1/list/all?api-version=1" in [each.raw_path for each in pipeline.seen]


async def test_headers_of_the_configuration_are_sent(run, pipeline):
    assert states(await run((200, LISTED), configured('headers = {{ x-title = "gatewayz" }}'))) == ALL_OK
    [request] = [each for each in pipeline.seen if each.path == MODELS]
    assert request.headers["x-title"] == "gatewayz"


async def test_headers_of_the_environment_are_sent(run, pipeline):
    text = configured('headers_env = {{ x-tenant = "TENANT" }}')
    assert states(await run((200, LISTED), text, {"ALPHA_KEY": "k-alpha", "TENANT": "hidden-1"})) == ALL_OK
    [request] = [each for each in pipeline.seen if each.path == MODELS]
    assert request.headers["x-tenant"] == "hidden-1"


@pytest.mark.parametrize(
    ("line", "environ"),
    [
        ('proxy = "http://{proxy}"', {}),
        ('proxy_env = "PROXY"', {"PROXY": "http://user:hidden@{proxy}"}),
        ("", {"HTTP_PROXY": "http://user:hidden@{proxy}"}),
    ],
    ids=["proxy", "proxy_env", "environment"],
)
async def test_the_providers_proxy_is_used(run, pipeline, line, environ):
    proxy = Proxy(pipeline.url)
    async with listening(proxy.serve) as address:
        text = configured(line.replace("{proxy}", address), base_url=AWAY)
        environ = {name: value.replace("{proxy}", address) for name, value in environ.items()}
        assert states(await run((200, LISTED), text, {"ALPHA_KEY": "k-alpha"} | environ)) == ALL_OK
    [head] = proxy.heads
    assert head.startswith("get http://provider.example/alpha/v1/models http/1.1")
    credentials = base64.b64encode(b"user:hidden").decode().lower()
    assert (f"proxy-authorization: basic {credentials}" in head) is bool(environ)


async def test_a_proxy_that_requires_credentials_is_named(run, pipeline):
    async with listening(Proxy(pipeline.url, 407).serve) as address:
        checks = await run(None, configured(f'proxy = "http://{address}"', base_url=AWAY))
    assert [name for name, each in checks.items() if each["state"] == "broken"] == ["reachable"]
    assert "the proxy requires credentials" in checks["reachable"]["found"]


async def test_without_the_variable_of_the_proxy_nothing_is_sent(run, pipeline):
    checks = await run((200, LISTED), configured('proxy_env = "PROXY"'))
    assert set(states(checks).values()) == {"unknown"}
    assert "PROXY is not set where the doctor runs" in checks["reachable"]["found"]
    assert MODELS not in [each.path for each in pipeline.seen]


async def test_a_header_that_the_doctor_does_not_have_is_no_fault(run):
    checks = await run((404, {}), configured('headers_env = {{ x-tenant = "TENANT" }}'))
    assert states(checks) == {"reachable": "ok", "key": "unknown", "models": "unknown"}
    assert "TENANT is not set where the doctor runs" in checks["key"]["found"]


async def test_a_model_that_may_be_on_a_further_page_is_unknown(run):
    checks = await run((200, {"data": [{"id": "s-1"}], "has_more": True}))
    assert states(checks) == ALL_OK | {"models": "unknown"}
    assert "l-1" in checks["models"]["found"]


@pytest.mark.parametrize("response", [(200, LISTED), (200, "<html>"), (301, ""), (401, {}), (404, {}), (503, {})])
async def test_the_query_is_never_printed(run, response, pipeline):
    checks = await run(response, configured(base_url="{url}/alpha/v1?code=hidden"))
    assert checks["reachable"]["found"] == f"{pipeline.url}{MODELS} returned {response[0]}"


@pytest.mark.parametrize(
    "head", [b"", b"HTTP/1.1 hidden OK\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{{"]
)
async def test_the_query_is_not_in_the_reason_for_no_response(run, head):
    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head)
        writer.close()

    async with listening(serve) as address:
        checks = await run(None, configured(base_url=f"http://{address}/v1?code=hidden"))
    assert checks["reachable"]["state"] == "broken"
    assert checks["reachable"]["found"].startswith(f"GET http://{address}/v1/models failed: ")


async def test_the_request_is_that_of_a_probe(run, pipeline, tmp_path):
    lines = (
        'api_key_header = "api-key"',
        'headers = {{ x-title = "gatewayz" }}',
        'headers_env = {{ x-tenant = "TENANT" }}',
    )
    environ = {"ALPHA_KEY": "k-alpha", "TENANT": "hidden-1"}
    await run((200, LISTED), configured(*lines, base_url="{url}/alpha/v1?api-version=1"), environ)
    config = load_config(tmp_path / "g.toml", environ)
    secrets = {"alpha": ProviderSecrets(api_key="k-alpha", headers={"x-tenant": "hidden-1"})}
    clock, recorder = ManualClock(), RecordingRecorder()
    states_of_providers = ProviderStates(config, clock, recorder)
    await Probes(config, secrets, states_of_providers, clock=clock, recorder=recorder).probe_providers()
    doctors, probes = [each for each in pipeline.seen if each.path == MODELS]
    assert (doctors.raw_path, doctors.raw_headers) == (probes.raw_path, probes.raw_headers)
