"""How a native server ends: by itself, or killed after its patience, which its caller is told."""

import sys

import pytest

from compose.native.process import ServerProcess
from compose.native.servers import Server
from tests.harness.polling import until

READY = "print('ready', flush=True); signal.pause()"
OBEYS = f"import signal; {READY}"
IGNORES = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {READY}"


@pytest.mark.parametrize(("code", "seconds", "by_itself"), [(OBEYS, 60.0, True), (IGNORES, 0.2, False)])
async def test_it_says_whether_a_server_ended_by_itself(tmp_path, code, seconds, by_itself):
    server = Server(
        name="a server",
        command=(sys.executable, "-c", code),
        folder=tmp_path,
        ready_url="http://127.0.0.1:9/",
        url="http://127.0.0.1:9",
        stop_seconds=seconds,
    )
    process = ServerProcess(server, {}, tmp_path / "log")
    await process.start()
    await until(lambda: "ready" in process.last_lines())
    assert await process.stop() is by_itself
    assert not process.is_running


async def test_one_that_was_never_started_has_ended(tmp_path):
    server = Server(name="a server", command=(), folder=tmp_path, ready_url="", url="")
    assert await ServerProcess(server, {}, tmp_path / "log").stop()
