"""The gateway as a process: start, refusals to start, orderly and disorderly ends."""

import asyncio
import json
import os
import re
import secrets
import signal
import socket
import sqlite3
import sys
import time
from pathlib import Path

import aiohttp
import pytest

from app.config.schema import ServerConfig
from app.gateway.clock import SystemClock
from app.server.listener import listen
from app.store.database import open_database
from app.store.keys import ApiKeys
from app.version import VERSION
from otel.recording.noop import DisabledRecorder
from tests.harness.default_signals import default_signals

pytestmark = pytest.mark.live
ROOT = Path(__file__).resolve().parents[3]
BODY = {"model": "acme/tiny", "messages": [{"role": "user", "content": "Say hello"}]}

CONFIG = """
[server]
port = 0
shutdown_grace_seconds = {grace}
max_header_bytes = 4096
[database]
url = "sqlite+aiosqlite:///{folder}/gateway.db"
[[providers]]
name = "alpha"
base_url = "http://127.0.0.1:{port}/v1"
[[models]]
name = "acme/tiny"
[[models.routes]]
provider = "alpha"
upstream_model = "alpha-tiny"
input_usd_per_million = 0.15
output_usd_per_million = 0.6
[[plans]]
name = "free"
"""
REASONS = ("idlest", "refused", "no_descriptor", "unparsed_bytes")
INHERITED = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "GATEWAYZ_", "PYTHON"))}
ENVIRON = {
    **INHERITED,
    "OTEL_TRACES_EXPORTER": "none",
    "OTEL_METRICS_EXPORTER": "none",
    "OTEL_LOGS_EXPORTER": "none",
}


class Process:
    """A running gateway, with what it printed."""

    def __init__(self, process, folder):
        self.process = process
        self.folder = folder
        self.url = ""
        self.key = ""

    async def line(self):
        async with asyncio.timeout(60):
            return (await self.process.stderr.readline()).decode().rstrip()

    async def end(self):
        async with asyncio.timeout(60):
            out, err = await self.process.communicate()
        return self.process.returncode, out.decode(), err.decode()

    def signal(self, number=signal.SIGTERM):
        self.process.send_signal(number)

    def ledger(self, columns="status, error_kind"):
        connection = sqlite3.connect(self.folder / "gateway.db")
        try:
            return connection.execute(f"select {columns} from ledger order by started_unix_ms").fetchall()  # noqa: S608
        finally:
            connection.close()


@pytest.fixture(scope="session")
def bytecode(tmp_path_factory):
    """Where the processes of these tests keep compiled modules: without it each start compiles every package again."""
    return os.environ.get("PYTHONPYCACHEPREFIX") or tmp_path_factory.mktemp("bytecode")


@pytest.fixture
async def run(bytecode, tmp_path):
    async def run(*arguments, environ=ENVIRON, descriptors=None):
        limit = [] if descriptors is None else ["sh", "-c", f'ulimit -n {descriptors} && exec "$0" "$@"']
        with default_signals():
            process = await asyncio.create_subprocess_exec(
                *limit,
                sys.executable,
                "-m",
                "app",
                *arguments,
                cwd=ROOT,
                env={**environ, "PYTHONPYCACHEPREFIX": str(bytecode)},
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                limit=2**20,
            )
        return Process(process, tmp_path)

    return run


@pytest.fixture
async def start(make_upstream, run, tmp_path, stack):
    async def start(script=None, *, grace=5.0, environ=ENVIRON, descriptors=None):
        upstream = await (make_upstream(script) if script else make_upstream())
        path = tmp_path / "gateway.toml"
        path.write_text(CONFIG.format(folder=tmp_path, port=upstream.port, grace=grace))
        engine = await open_database(f"sqlite+aiosqlite:///{tmp_path}/gateway.db", DisabledRecorder())
        key = await ApiKeys(engine, SystemClock(), secrets.token_bytes).create(name="t", plan="free")
        await engine.dispose()
        gateway = await run("serve", "--config", str(path), environ=environ, descriptors=descriptors)

        async def stop():
            if gateway.process.returncode is None:
                gateway.process.kill()
                await gateway.process.communicate()

        stack.push_async_callback(stop)
        gateway.key = key.secret
        listening = await gateway.line()
        assert listening.startswith("gateway: listening on http://127.0.0.1:"), listening
        gateway.url = listening.rpartition(" ")[2]
        gateway.upstream = upstream
        gateway.session = await stack.enter_async_context(
            aiohttp.ClientSession(gateway.url, headers={"authorization": f"Bearer {gateway.key}"})
        )
        return gateway

    return start


async def test_it_serves_counts_and_stops(start):
    gateway = await start()
    async with gateway.session.post("/v1/chat/completions", json=BODY) as response:
        assert response.status == 200
    async with gateway.session.post("/v1/chat/completions", json={**BODY, "stream": True}) as response:
        assert (await response.read()).endswith(b"data: [DONE]\n\n")
    async with gateway.session.get("/metrics") as response:
        metrics = await response.text()
    assert 'model_inference_requests_total{provider="alpha",model="acme/tiny",status="success"} 2' in metrics
    assert 'tokens_used_total{provider="alpha",model="acme/tiny",token_type="output"} 8' in metrics
    assert f'version="{VERSION}"' in metrics
    assert 'path="/metrics"' not in metrics
    async with gateway.session.get("/health/ready") as response:
        ready = await response.json()
    assert (response.status, ready["status"]) == (200, "ready")
    assert set(ready["dependencies"]) == {"database", "cache", "providers", "telemetry"}
    alpha = ready["dependencies"]["providers"]["alpha"]
    assert (alpha["status"], alpha["circuit_breaker"], alpha["probe"]["found"]) == ("up", "closed", "up")
    async with gateway.session.get("/health/live") as response:
        assert await response.json() == {"status": "live"}
    gateway.signal()
    code, out, err = await gateway.end()
    assert (code, err) == (0, "gateway: stopped\n")
    assert gateway.ledger("status, cost_nanousd") == [("success", 3_900)] * 2
    lines = [json.loads(line) for line in out.splitlines()]
    assert sum(line["logger"] == "gatewayz.request" for line in lines) == 2
    assert gateway.key not in out
    assert "Say hello" not in out
    assert not [line for line in lines if line["level"] in {"error", "critical"}]


async def test_sigterm_lets_a_stream_finish(start, wire):
    go = asyncio.Event()

    async def slowly(exchange):
        await exchange.stream_head()
        await exchange.send(wire.sse(wire.chunk("Hello")))
        await go.wait()
        await exchange.send(wire.sse(wire.chunk(" there", finish="stop"), b"[DONE]"))
        await exchange.end()

    gateway = await start(slowly)
    async with gateway.session.post("/v1/chat/completions", json={**BODY, "stream": True}) as response:
        await response.content.readuntil(b"\n\n")
        gateway.signal()
        await refuses_connections(gateway.url)
        go.set()
        assert (await response.read()).endswith(b"data: [DONE]\n\n")
    code, _, err = await gateway.end()
    assert (code, err) == (0, "gateway: stopped\n")
    assert gateway.ledger() == [("success", None)]


async def test_what_does_not_finish_in_time_is_ended_in_good_order(start, wire):
    async def hang(exchange):
        if exchange.json.get("stream"):
            await exchange.stream_head()
            await exchange.send(wire.sse(wire.chunk("Hello")))
        await exchange.gone()

    gateway = await start(hang, grace=0.3)
    whole = asyncio.create_task(post(gateway, BODY))
    async with gateway.session.post("/v1/chat/completions", json={**BODY, "stream": True}) as response:
        await response.content.readuntil(b"\n\n")
        await wire.until(lambda: len(gateway.upstream.exchanges) == 2, "both calls")
        started = time.monotonic()
        gateway.signal()
        last = json.loads((await response.read()).removeprefix(b"data: "))
    assert last["error"]["code"] == "overloaded"
    assert await whole == (503, "overloaded")
    code, out, err = await gateway.end()
    assert time.monotonic() - started < 10
    assert code == 0
    assert err == ("gateway: 2 requests did not finish within 0.3 s: ended with an error\ngateway: stopped\n")
    assert gateway.ledger() == [("error", "shutdown")] * 2
    assert "Traceback" not in out
    assert gateway.ledger("input_tokens, output_tokens, usage_estimated") in (
        [(3, 0, 1), (3, 2, 1)],
        [(3, 2, 1), (3, 0, 1)],
    )


async def test_a_second_signal_ends_at_once(start, wire):
    gateway = await start(lambda exchange: exchange.gone(), grace=60)
    call = asyncio.create_task(post(gateway, BODY))
    await wire.until(lambda: gateway.upstream.exchanges, "the call")
    gateway.signal()
    await refuses_connections(gateway.url)
    gateway.signal(signal.SIGINT)
    code, _, err = await gateway.end()
    assert code == 1
    assert err.startswith("gateway: second signal: ending at once")
    with pytest.raises(aiohttp.ClientError):
        await call


async def test_telemetry_that_cannot_be_delivered_delays_the_end_within_its_deadline_and_is_named(start):
    with socket.create_server(("127.0.0.1", 0)) as black_hole:
        endpoint = f"http://127.0.0.1:{black_hole.getsockname()[1]}"
        environ = INHERITED | {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}
        gateway = await start(environ=environ)
        async with gateway.session.post("/v1/chat/completions", json=BODY) as response:
            assert response.status == 200
        started = time.monotonic()
        gateway.signal()
        code, _, err = await gateway.end()
    # Its own deadline is 4 s; without it the sender would go on trying.
    assert time.monotonic() - started < 10
    assert code == 3
    assert "telemetry not delivered within 4 s:" in err
    assert "traces" in err
    assert gateway.ledger() == [("success", None)]


async def test_heads_are_bounded(start):
    gateway = await start()
    host, port = gateway.url.removeprefix("http://").split(":")

    async def get(size, end=b"\r\n\r\n"):
        reader, writer = await asyncio.open_connection(host, int(port))
        head = b"GET /health/live HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-big: "
        writer.write(head + b"x" * size + end)
        async with asyncio.timeout(20):
            response = await reader.read()
        writer.close()
        return response

    for size in (5_000, 500_000):
        for end in (b"\r\n\r\n", b""):
            response = await get(size, end)
            assert response.startswith(b"HTTP/1.1 431 "), (size, end)
            assert json.loads(response.split(b"\r\n\r\n")[1])["error"]["code"] == "headers_too_large"
    assert (await get(3_000)).startswith(b"HTTP/1.1 200 ")


async def test_more_clients_than_descriptors_keep_nobody_out(start):
    """A process that may have few files open, hard limit included, and clients that send nothing."""
    gateway = await start(descriptors=256)
    host, port = gateway.url.removeprefix("http://").split(":")
    idle = [await asyncio.open_connection(host, int(port)) for _ in range(500)]
    for _ in range(3):
        async with aiohttp.ClientSession(gateway.url) as newcomer, newcomer.get("/health/live") as response:
            assert response.status == 200
        async with gateway.session.post("/v1/chat/completions", json=BODY) as response:
            assert response.status == 200
    async with gateway.session.get("/metrics") as response:
        metrics = await response.text()
    for _, writer in idle:
        writer.close()
    closed = {reason: int(re.search(f'closed_total{{reason="{reason}"}} (\\d+)', metrics)[1]) for reason in REASONS}
    assert closed.pop("idlest") > 400
    assert set(closed.values()) == {0}
    gateway.signal()
    code, out, _ = await gateway.end()
    assert code == 0
    assert out.count("client connections is reached") == 1


async def test_what_strangers_send_does_not_stay(start):
    """Neither caches nor garbage grow by what clients make up: trailers, pipelines, URLs, cookies, fields."""
    gateway = await start()
    host, port = gateway.url.removeprefix("http://").split(":")

    async def resident():
        async with gateway.session.get("/metrics") as response:
            return float(re.search(r"^process_resident_memory_bytes (\S+)", await response.text(), re.MULTILINE)[1])

    def head(number, path=b"/health/live", field=b""):
        return b"GET %b HTTP/1.1\r\nhost: x\r\nx-number: %d\r\n%b\r\n" % (path, number, field)

    async def send(pieces):
        _, writer = await asyncio.open_connection(host, int(port))
        try:
            async with asyncio.timeout(2):
                for piece in pieces:
                    writer.write(piece)
                    await writer.drain()
        except (ConnectionError, TimeoutError):
            pass
        writer.transport.abort()

    long = b"y" * 3_500
    before = await resident()
    for start_at in range(0, 1_000, 100):
        numbers = range(start_at, start_at + 100)
        await send(head(n, b"/prometheus/metrics/summary?%d&" % n + b"a&" * 1_700) for n in numbers)
        await send(head(n, b"/v1/models/%d/" % n + long) for n in numbers)
        await send(head(n, b"/%d%%20" % n + long) for n in numbers)
        await send(head(n, field=b"cookie: %d=%b\r\n" % (n, long)) for n in numbers)
        await send(head(n, field=b"authorization: Bearer %d%b\r\n" % (n, long)) for n in numbers)
        await send(head(n, b"/v1/models", b"x%d: %b\r\n" % (n, long)) for n in numbers)
    trailers = head(0, field=b"transfer-encoding: chunked\r\n") + b"0\r\n"
    await asyncio.gather(*[send([trailers, *[b"x: y\r\n" * 10_000] * 100]) for _ in range(4)])
    await asyncio.gather(*[send([head(0, b"/") * 5_000]) for _ in range(20)])
    assert await resident() < before + 40e6


def thread_arenas(pid):
    """Count what glibc reserves for threads that allocate: 64 MiB each, aligned to as much, of which the end is not usable yet."""
    size, found, begun_at = 64 * 1024 * 1024, 0, 0
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        bounds, access = line.split()[:2]
        start, end = (int(each, 16) for each in bounds.split("-"))
        if access == "rw-p" and start % size == 0:
            begun_at = start
        found += access == "---p" and end == begun_at + size
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_threads_share_the_memory_that_they_free(start):
    gateway = await start()
    async with gateway.session.post("/v1/chat/completions", json=BODY) as response:
        assert response.status == 200
    assert thread_arenas(gateway.process.pid) == 0


async def test_a_port_in_use_is_one_line(start, run, tmp_path):
    gateway = await start()
    port = gateway.url.rpartition(":")[2]
    second = await run("serve", "--config", str(tmp_path / "gateway.toml"), "--port", port)
    code, _, err = await second.end()
    assert code == 1
    assert err == (
        f"gateway: cannot listen on 127.0.0.1:{port}: Address already in use; choose another port with --port\n"
    )


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--config", "/nowhere.toml", "serve"], 1, "gateway: /nowhere.toml: "),
        (["serve", "--port", "99999"], 2, "usage: "),
        (["serve", "--port", "x"], 2, "usage: "),
        ([], 2, "usage: "),
    ],
)
async def test_refusals_to_start(run, arguments, code, message):
    found, _, err = await (await run(*arguments)).end()
    assert found == code
    assert err.startswith(message)
    assert "Traceback" not in err
    if code == 1:
        assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("host", "reason"),
    [("a..b", "Not a host name"), ("192.0.2.1", "Cannot assign requested address")],  # TEST-NET-1, nobody's address
)
async def test_a_host_that_is_not_ours_is_one_line(run, tmp_path, host, reason):
    path = tmp_path / "gateway.toml"
    path.write_text(CONFIG.format(folder=tmp_path, port=1, grace=1))
    code, _, err = await (await run("serve", "--config", str(path), "--host", host)).end()
    assert code == 1
    assert err.startswith(f"gateway: cannot listen on {host}:0: {reason}")
    assert err.endswith("; set server.host or --host to an address of this computer\n")
    assert err.count("\n") == 1


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="/proc is how the moment is found")
@pytest.mark.parametrize("arguments", [["serve"], ["keys", "list"]])
async def test_ctrl_c_during_the_start_needs_no_traceback(run, tmp_path, wire, arguments):
    path = tmp_path / "gateway.toml"
    path.write_text(CONFIG.format(folder=tmp_path, port=1, grace=1))
    process = await run(*arguments, "--config", str(path))
    maps = Path(f"/proc/{process.process.pid}/maps")
    await wire.until(lambda: "msgspec" in maps.read_text(), "the import of packages")
    process.signal(signal.SIGINT)
    _, out, err = await process.end()
    assert "Traceback" not in out + err


async def test_a_database_that_cannot_be_opened_is_one_line(run, tmp_path):
    path = tmp_path / "gateway.toml"
    path.write_text(CONFIG.format(folder=tmp_path / "none" / "here", port=1, grace=1))
    code, _, err = await (await run("serve", "--config", str(path))).end()
    assert code == 1
    assert err.startswith("gateway: database ")
    assert err.endswith(f": cannot be opened: there is no folder {tmp_path}/none/here\n")
    assert err.count("\n") == 1


async def test_the_variable_names_the_file_and_help_explains(run, tmp_path):
    environ = {**ENVIRON, "GATEWAYZ_CONFIG": str(tmp_path / "missing.toml")}
    _, _, err = await (await run("serve", environ=environ)).end()
    assert err.startswith(f"gateway: {tmp_path}/missing.toml: ")
    code, out, _ = await (await run("serve", "--help")).end()
    assert code == 0
    assert all(option in out for option in ("--host", "--port", "--config"))


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="no socket for both IP versions here")
def test_two_colons_are_every_address():
    with listen(ServerConfig(host="::", port=0)) as listener:
        port = listener.getsockname()[1]
        for host in ("127.0.0.1", "::1"):
            socket.create_connection((host, port), timeout=5).close()


def test_the_version_is_the_packages():
    assert f'version = "{VERSION}"' in (ROOT / "pyproject.toml").read_text()


async def post(gateway, body):
    async with gateway.session.post("/v1/chat/completions", json=body) as response:
        return response.status, (await response.json())["error"]["code"]


async def refuses_connections(url):
    host, port = url.removeprefix("http://").split(":")
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            _, writer = await asyncio.open_connection(host, int(port))
        except ConnectionRefusedError:
            return
        except ConnectionResetError:
            continue  # it stood in the backlog of a listener that was just being closed: the next one is refused
        writer.close()
        await asyncio.sleep(0.02)
    raise AssertionError("the gateway still accepts connections")
