"""How a serving process ends: by which signal, with which exit code, and what becomes of large responses and of its streams."""

import asyncio
import os
import signal
import socket
import sqlite3
import sys

import pytest

from tests.app.gateway.test_server_process import (  # noqa: F401  fixtures
    BODY,
    CONFIG,
    ENVIRON,
    ROOT,
    bytecode,
    refuses_connections,
    run,
    start,
)

pytestmark = pytest.mark.live


async def chat(gateway):
    async with gateway.session.post("/v1/chat/completions", json=BODY) as response:
        assert response.status == 200
        return await response.read()


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGQUIT])
async def test_every_signal_stops_in_order_and_loses_nothing(start, number):  # noqa: F811
    gateway = await start()
    for _ in range(3):
        await chat(gateway)
    # A terminal that closes sends more than one: only a second SIGTERM or SIGINT hurries.
    for _ in range(3):
        gateway.signal(number)
    code, _, err = await gateway.end()
    assert (code, err) == (0, "gateway: stopped\n")
    assert gateway.ledger() == [("success", None)] * 3


async def test_a_large_response_is_finished_after_sigterm(start, wire):  # noqa: F811
    gateway = await start(lambda exchange: exchange.reply({**wire.completion, "padding": "x" * 20_000_000}), grace=60.0)
    async with gateway.session.post("/v1/chat/completions", json=BODY) as response:
        await response.content.readexactly(100_000)
        gateway.signal()
        await refuses_connections(gateway.url)
        assert len(await response.read()) > 19_000_000
    assert (await gateway.end())[::2] == (0, "gateway: stopped\n")
    assert gateway.ledger() == [("success", None)]


async def test_what_a_client_does_not_take_within_the_grace_is_told(start, wire):  # noqa: F811
    gateway = await start(lambda exchange: exchange.reply({**wire.completion, "padding": "x" * 20_000_000}), grace=0.3)
    async with gateway.session.post("/v1/chat/completions", json=BODY) as response:
        await response.content.readexactly(100_000)
        gateway.signal()
        code, out, err = await gateway.end()
    assert code == 0  # nothing of the ledger or of telemetry was lost
    assert err.startswith("gateway: 1 responses were cut: ")
    assert '"outcome":"cancelled"' in out
    assert "Traceback" not in out
    assert gateway.ledger() == [("cancelled", None)]


async def test_lost_rows_change_the_exit_code(start):  # noqa: F811
    gateway = await start()
    blocker = sqlite3.connect(gateway.folder / "gateway.db", isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    await chat(gateway)
    gateway.signal()
    code, _, err = await gateway.end()
    blocker.close()
    assert code == 3
    assert "1 ledger rows were not written\n" in err
    assert err.endswith("gateway: stopped\n")


@pytest.fixture
async def behind(bytecode, tmp_path, make_upstream, stack):  # noqa: F811
    """Start a gateway behind a shell's redirections, with these descriptors; returns it and its address."""

    async def make(redirections, *, stdout, stderr):
        upstream = await make_upstream()
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        path = tmp_path / "gateway.toml"
        path.write_text(
            CONFIG.format(folder=tmp_path, port=upstream.port, grace=5.0).replace("port = 0", f"port = {port}")
        )
        process = await asyncio.create_subprocess_exec(
            "/bin/sh", "-c", f'exec "$@" {redirections}', "sh", sys.executable, "-m", "app", "serve", "--config", str(path),
            cwd=ROOT, env={**ENVIRON, "PYTHONPYCACHEPREFIX": str(bytecode)}, stdout=stdout, stderr=stderr,
        )  # fmt: skip

        async def stop():
            if process.returncode is None:
                process.kill()
            await process.wait()

        stack.push_async_callback(stop)
        async with asyncio.timeout(60):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except OSError:
                    assert process.returncode is None
                    await asyncio.sleep(0.05)
                    continue
                writer.close()
                return process, port

    return make


def full_pipe():
    """A pipe that takes nothing more, and has a reader."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    try:
        while True:
            os.write(writing, b"x" * 4_096)
    except BlockingIOError:
        os.set_blocking(writing, True)
    return reading, writing


async def get(port, path):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET %b HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n" % path)
    async with asyncio.timeout(30):
        response = await reader.read()
    writer.close()
    return int(response.split()[1])


@pytest.mark.parametrize("redirections", ["", ">&- 2>&-", "<&- >&- 2>&-", ">/dev/full 2>/dev/full"])
async def test_it_starts_serves_and_stops_whatever_its_streams_are(behind, redirections):
    reading, writing = full_pipe()
    process, port = await behind(redirections, stdout=writing, stderr=writing)
    os.close(writing)
    for _ in range(5):
        assert await get(port, b"/health/live") == 200
        assert await get(port, b"/v1/models") == 401
    process.terminate()
    async with asyncio.timeout(60):
        assert await process.wait() == 0
    os.close(reading)


async def test_a_reader_that_is_gone_at_the_stop_changes_no_exit_code(start):  # noqa: F811
    gateway = await start()
    await chat(gateway)
    gateway.process._transport.get_pipe_transport(1).close()
    gateway.process._transport.get_pipe_transport(2).close()
    gateway.signal()
    async with asyncio.timeout(60):
        assert await gateway.process.wait() == 0
    assert gateway.ledger() == [("success", None)]
