"""The demo's processes end when they are stopped, and when the demo was killed."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from demo.process import ROOT, ChildFailedError, start_child
from demo.upstream import local_model, scripted_upstream
from tests.harness.polling import holds_within

pytestmark = pytest.mark.live
END_SECONDS = 10.0
STARTER = """
import asyncio, pathlib, sys
from demo.process import start_child
from demo.upstream.scripted_upstream import READY_LINE

async def main():
    child = await start_child("upstream", ["demo.upstream.scripted_upstream"], log_path=pathlib.Path(sys.argv[1]))
    if sys.argv[2] == "ready":
        await child.wait_ready(READY_LINE)
    print(child.pid, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A process whose parent did not wait for it yet has ended all the same.
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.parametrize("moment", ["starting", "ready"])
async def test_a_child_ends_when_its_starter_is_killed(tmp_path: Path, moment: str) -> None:
    starter = await asyncio.create_subprocess_exec(
        sys.executable, "-c", STARTER, str(tmp_path / "log"), moment, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    assert starter.stdout is not None
    async with asyncio.timeout(60):
        pid = int(await starter.stdout.readline())
    assert is_running(pid)
    starter.kill()
    await starter.communicate()
    if not await holds_within(lambda: not is_running(pid), END_SECONDS):
        os.kill(pid, signal.SIGKILL)
        raise AssertionError("the child still runs")


async def test_a_child_is_told_to_end_and_ends_in_order(tmp_path: Path) -> None:
    child = await start_child("upstream", ["demo.upstream.scripted_upstream"], log_path=tmp_path / "log")
    await child.wait_ready(scripted_upstream.READY_LINE)
    assert child.exit_code is None
    assert await child.stop() == 0
    assert await child.stop() == 0
    assert child.exit_code == 0


async def test_a_child_that_fails_says_why(tmp_path: Path) -> None:
    child = await start_child("upstream", ["demo.upstream.scripted_upstream", "--port", "x"], log_path=tmp_path / "log")
    with pytest.raises(ChildFailedError, match=r"upstream ended with exit code 2:\n(.|\n)*invalid int value: 'x'"):
        await child.wait_ready(scripted_upstream.READY_LINE)
    assert await child.stop() == 2


async def test_the_local_model_ends_at_once_although_it_has_just_begun(tmp_path: Path) -> None:
    if local_model.find_weights() is None:
        pytest.skip(local_model.MISSING)
    child = await start_child("local model", ["demo.upstream.local_model"], log_path=tmp_path / "log")
    await child.wait_ready(local_model.READY_LINE)
    # Its own orderly end would wait for a main loop that has not begun yet.
    assert await child.stop() == -signal.SIGTERM


async def test_a_local_model_that_cannot_be_loaded_is_one_line(tmp_path: Path) -> None:
    if local_model.find_weights() is None:
        pytest.skip(local_model.MISSING)
    (tmp_path / "xllamacpp.py").write_text("raise ImportError('libgomp.so.1: no such file')\n")
    environ = {**os.environ, "PYTHONPATH": str(tmp_path)}
    child = await start_child("local model", ["demo.upstream.local_model"], log_path=tmp_path / "log", environ=environ)
    with pytest.raises(ChildFailedError):
        await child.wait_ready(local_model.READY_LINE)
    assert child.last_lines() == "the real model's server cannot be loaded: libgomp.so.1: no such file"
    assert await child.stop() == 1


def test_the_programs_of_the_demo_image_do_not_import_the_tests() -> None:
    programs = "import sys, demo.upstream.scripted_upstream, demo.traffic.replay"
    check = f"{programs}; print([name for name in sys.modules if name.partition('.')[0] == 'tests'])"
    done = subprocess.run([sys.executable, "-c", check], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
