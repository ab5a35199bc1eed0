"""A test that never ends fails by name, and the tests behind it run: a wait without a bound costs no whole run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ENDLESS = """
import asyncio, subprocess, threading
import pytest

@pytest.fixture(scope="session")
def anyio_backend():
    return "asyncio"

@pytest.fixture
def served():
    yield
    threading.Event().wait()

def test_a_lock():
    threading.Event().wait()

async def test_the_event_loop():
    await asyncio.Event().wait()

def test_a_child():
    subprocess.run(["sleep", "3600"])

def test_the_end_of_a_fixture(served):
    pass

def test_behind_them():
    pass
"""


@pytest.mark.live
def test_each_fails_and_the_next_one_runs(tmp_path):
    (tmp_path / "test_it.py").write_text(ENDLESS)
    options = ["-c", ROOT / "pyproject.toml", "--rootdir", tmp_path, "-n", "1", "-o", "timeout=1", tmp_path]
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", *options],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    summary = ended.stdout.splitlines()
    assert ended.returncode == 1, ended.stdout + ended.stderr
    for outcome, name in (
        ("FAILED", "a_lock"),
        ("FAILED", "the_event_loop"),
        ("FAILED", "a_child"),
        ("ERROR", "the_end_of_a_fixture"),
    ):
        assert [
            line for line in summary if line.startswith(f"{outcome} test_it.py::test_{name} ") and "Timeout" in line
        ]
    assert "3 failed, 2 passed, 1 error" in summary[-1]


def test_the_bound_is_set(pytestconfig):
    assert 0 < float(pytestconfig.getini("timeout")) < pytestconfig.getini("faulthandler_timeout")
