"""`python -m demo` as a person runs it: a signal ends it with its table and leaves no process; a port in use is one clear line."""

import asyncio
import json
import os
import re
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from demo.process import ROOT
from demo.upstream import local_model
from tests.harness.default_signals import default_signals
from tests.harness.polling import until

pytestmark = pytest.mark.live

READY_SECONDS = 60.0
END_SECONDS = 60.0


async def _start(**environ: str) -> asyncio.subprocess.Process:
    with default_signals():
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "demo",
            cwd=ROOT,
            env={**os.environ, "SEED": "11", "CONSOLE_PORT": "0", **environ},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )


async def _read_until(process: asyncio.subprocess.Process, pattern: str) -> str:
    assert process.stdout is not None
    seen = ""
    async with asyncio.timeout(READY_SECONDS):
        while not re.search(pattern, seen):
            line = await process.stdout.readline()
            assert line, f"ended before {pattern!r}:\n{seen}"
            seen += line.decode()
    return seen


async def _end(process: asyncio.subprocess.Process) -> str:
    async with asyncio.timeout(END_SECONDS):
        output, _ = await process.communicate()
    return output.decode()


async def _make_sure(process: asyncio.subprocess.Process) -> None:
    """End a demo that failed the test, and what it started."""
    if process.returncode is None:
        for pid in (process.pid, *_children(process.pid)):
            os.kill(pid, signal.SIGKILL)
        await process.communicate()


def _children(pid: int) -> list[int]:
    """Return the processes that `pid` started."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _has_loaded(pid: int, package: str) -> bool:
    return package in Path(f"/proc/{pid}/maps").read_text()


def _run_folder(child: int) -> Path:
    """Return the folder of the run that a child belongs to: its log is there. Other runs have theirs beside it."""
    return Path(f"/proc/{child}/fd/1").readlink().parent


needs_proc = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="/proc is how the children are found")


async def _visit(seen: str) -> None:
    """Do what a person does who reads the screen: paste the curl line, ask for other models, leave early, look around, run the doctor."""
    line = re.search(r"curl (http://\S+?)/v1/chat/completions -H 'Authorization: (.+?)'.*\n +-d '(.+)'", seen)
    assert line is not None, seen
    url, authorization, body = line.groups()
    pasted = json.loads(body)
    headers = {"authorization": authorization}
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=READY_SECONDS) as client:
        response = await client.post("/v1/chat/completions", json=pasted)
        assert response.status_code == 200
        for fields in ({"model": "aurora-large"}, {"model": "cobalt-code", "stream": True}, {"model": "nope"}):
            await client.post("/v1/chat/completions", json=pasted | fields)
        async with client.stream("POST", "/v1/chat/completions", json=pasted | {"model": "harbor-8b", "stream": True}):
            pass
        for path in ("/v1/models", "/favicon.ico", "/metrics"):
            await client.get(path)
        await client.post("/v1/chat/completions", json=pasted, headers={"authorization": "Bearer sk-mine"})
    doctor = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "app", "doctor", "--gateway", url, cwd=ROOT, stdout=asyncio.subprocess.DEVNULL
    )
    await doctor.wait()


async def _look_at_the_console(seen: str) -> None:
    """Do what a person does at the printed address: see the chart move, find a request that failed, its waterfall and its line."""
    line = re.search(r"(http://\S+) +the console", seen)
    assert line is not None, seen
    async with httpx.AsyncClient(base_url=f"{line[1].rstrip('/')}/api/", timeout=READY_SECONDS) as client:

        async def get(path: str, **query: str) -> Any:
            response = await client.get(path, params=query)
            assert response.status_code == 200, response.text
            return response.json()

        async def has_moved() -> bool:
            chart = await get("metrics/range", name="model_inference_requests_total", fn="rate", by="provider")
            return any(sum(value is not None for value in each["values"]) > 1 for each in chart["series"])

        async def failure() -> tuple[dict[str, Any], dict[str, Any]] | None:
            for row in (await get("requests", call_status="error", limit="500"))["rows"]:
                if row["has_trace"] and row["attempts"]:
                    trace = await get(f"traces/{row['trace_id']}")
                    # A trace can come in two parts.
                    if len(trace["spans"]) == 1 + row["attempts"]:
                        return row, trace
            return None

        await until(has_moved, "a chart with points", timeout_seconds=READY_SECONDS)
        row, trace = await until(failure, "a request that every provider failed", timeout_seconds=READY_SECONDS)
    assert [each["status"] for each in trace["attempts"]] == ["error"] * row["attempts"]
    assert all(each["error_kind"] for each in trace["attempts"])
    assert (trace["spans"][0]["kind"], trace["spans"][0]["depth"]) == ("server", 0)
    lines = [each["fields"] for each in trace["logs"] if each["logger"] == "gatewayz.request"]
    assert [line["status"] for line in lines] == [row["status"]]


@needs_proc
async def test_the_demo_shows_a_failure_in_its_console_and_ctrl_c_ends_it_with_its_table() -> None:
    process = await _start(PORT="0", SPEED="8")
    try:
        seen = await _read_until(process, r"demo: +\d+ s ")
        await _look_at_the_console(seen)
        await _visit(seen)
        children = _children(process.pid)
        assert len(children) == (4 if local_model.find_weights() is not None else 3)
        folder = _run_folder(children[0])
        process.send_signal(signal.SIGINT)
        output = await _end(process)
    finally:
        await _make_sure(process)
    assert process.returncode == 0, output
    assert "lines compared, no difference" in output
    assert "that the traffic program did not send or did not wait for (" in output
    assert "the comparison allows for them" in output
    if local_model.find_weights() is not None:
        assert re.search(r" [1-9]\d* of them from the real model", output)
    assert "the same as gatewayz_cost_by_provider, to the nano-dollar" in output
    assert not [pid for pid in children if _is_running(pid)]
    assert not folder.exists()


@needs_proc
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
async def test_a_signal_during_the_start_leaves_nothing(number: signal.Signals) -> None:
    process = await _start(PORT="0")
    try:
        await _read_until(process, "starting the gateway")
        children = _children(process.pid)
        folder = _run_folder(children[0])
        process.send_signal(number)
        output = await _end(process)
    finally:
        await _make_sure(process)
    assert process.returncode == 1
    assert "Traceback" not in output
    assert folder.parent == ROOT / ".demo"
    assert not [pid for pid in children if _is_running(pid)]
    assert not folder.exists()


@needs_proc
async def test_ctrl_c_before_anything_is_started_needs_no_traceback() -> None:
    process = await _start(PORT="0")
    async with asyncio.timeout(READY_SECONDS):
        while not _has_loaded(process.pid, "msgspec"):  # noqa: ASYNC110  the process reports nothing
            await asyncio.sleep(0.005)
    process.send_signal(signal.SIGINT)
    output = await _end(process)
    assert process.returncode != 0
    assert "Traceback" not in output


async def test_a_port_in_use_is_one_line_that_names_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        process = await _start(PORT=str(other.getsockname()[1]))
        output = await _end(process)
    assert process.returncode == 1
    assert "is in use; choose another one, as in PORT=8080" in output
    assert "Traceback" not in output


async def test_a_setting_that_makes_no_sense_is_one_line() -> None:
    process = await _start(SPEED="fast")
    assert await _end(process) == "demo: SPEED takes a number above 0: times the trace's own pace\n"
    assert process.returncode == 2
