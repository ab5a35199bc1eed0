"""Fixtures of the store's tests: real SQLite files, a real PostgreSQL server where it is installed, rows, polling."""

import asyncio
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from app.gateway.clock import ManualClock
from app.gateway.ports import LedgerRow
from app.store.database import open_database
from otel.testing.recording import RecordingRecorder

DEADLINE_SECONDS = 15.0


class PostgresqlServer:
    """A throw-away cluster that listens on a Unix socket only; run as `nobody` where we are root, as PostgreSQL demands."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._databases = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._as: dict[str, Any] = {}
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            os.chown(folder, nobody.pw_uid, nobody.pw_gid)
            self._as = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        command = ["initdb", "-D", str(folder / "data"), "-U", "gatewayz", "-A", "trust", "-E", "UTF8", "--locale=C"]
        subprocess.run([*command, "--no-sync"], check=True, capture_output=True, cwd=folder, **self._as)

    def start(self) -> None:
        options = ["-k", str(self.folder), "-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=50"]
        with (self.folder / "log").open("ab") as log:
            command = ["postgres", "-D", str(self.folder / "data"), *options]
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder, **self._as)
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not self._run("psql", "-c", "SELECT 1", "postgres"):
            assert time.monotonic() < deadline, (self.folder / "log").read_text()
            time.sleep(0.05)

    def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)  # "fast": connections are cut
            self._process.wait(DEADLINE_SECONDS)
            self._process = None

    def new_database(self) -> str:
        self._databases += 1
        name = f"test_{self._databases}"
        assert self._run("createdb", name), (self.folder / "log").read_text()
        return f"postgresql+asyncpg://gatewayz@/{name}?host={self.folder}"

    def _run(self, program: str, *arguments: str) -> bool:
        command = [program, "-h", str(self.folder), "-U", "gatewayz", *arguments]
        return subprocess.run(command, check=False, capture_output=True).returncode == 0


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgresqlServer]:
    missing = [program for program in ("initdb", "postgres", "psql", "createdb") if shutil.which(program) is None]
    if missing:
        pytest.skip(f"no PostgreSQL server here: {', '.join(missing)} not on PATH")
    folder = Path(tempfile.mkdtemp(prefix="gatewayz-pg-"))
    server = None
    try:
        server = PostgresqlServer(folder)
        server.start()
        yield server
    finally:
        if server is not None:
            server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite+aiosqlite:///{tmp_path}/gatewayz.db"


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.live)])
def database_url(request: pytest.FixtureRequest) -> str:
    if request.param == "sqlite":
        return str(request.getfixturevalue("sqlite_url"))
    return str(request.getfixturevalue("postgresql").new_database())


@pytest.fixture
def recorder() -> RecordingRecorder:
    return RecordingRecorder()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def engine(database_url: str, recorder: RecordingRecorder) -> AsyncIterator[AsyncEngine]:
    engine = await open_database(database_url, recorder)
    recorder.events.clear()
    yield engine
    await engine.dispose()


@pytest.fixture
def make_row() -> Callable[..., LedgerRow]:
    def make(number: int, **changes: Any) -> LedgerRow:
        values: dict[str, Any] = {
            "call_id": f"call_{number}",
            "started_unix_ms": 1_700_000_000_000 + number,
            "trace_id": f"{number:032x}",
            "key_id": "key_1",
            "plan": "free",
            "operation": "chat",
            "model": "small",
            "provider": "alpha",
            "status": "success",
            "error_kind": None,
            "stream": False,
            "cached": False,
            "attempts": 1,
            "input_tokens": 10,
            "output_tokens": 5,
            "usage_estimated": False,
            "cost_nanousd": 7,
            "credits_nanousd": 9,
            "duration_ms": 120,
            "first_token_ms": None,
        }
        return LedgerRow(**(values | changes))

    return make


@pytest.fixture
def poll_until() -> Callable[..., Any]:
    async def poll(check: Callable[[], bool], what: str, *, seconds: float = DEADLINE_SECONDS) -> None:
        deadline = time.monotonic() + seconds
        while not check():
            assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
            await asyncio.sleep(0.005)

    return poll
