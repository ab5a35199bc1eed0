"""What the machine does to the ledger: the process is killed, the disk is full."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sqlalchemy import event, text

from app.config.schema import LedgerConfig
from app.store.database import open_database
from app.store.ledger import LedgerWriter
from otel.events import LedgerRowsDropped
from otel.recording.noop import DisabledRecorder

ROOT = Path(__file__).parents[3]
COMMIT_SECONDS = 0.1
# How long a commit itself may take here, beside other work on two cores.
COMMIT_MARGIN_SECONDS = 1.5
LIFETIME_SECONDS = 0.8

# Appends a row every 2 ms indefinitely and says so, with the time on the clock that all processes share.
VICTIM = """
import asyncio, sys, time
from app.config.schema import LedgerConfig
from app.gateway.ports import LedgerRow
from app.store.database import open_database
from app.store.ledger import LedgerWriter
from otel.recording.noop import DisabledRecorder

async def main(url, commit_seconds):
    engine = await open_database(url, DisabledRecorder())
    ledger = LedgerWriter(engine, LedgerConfig(commit_seconds=commit_seconds), DisabledRecorder())
    ledger.start()
    number = 0
    while True:
        ledger.append(LedgerRow(
            call_id=f"call_{number}", started_unix_ms=number, trace_id="0" * 32, key_id="key_1", plan="free",
            operation="chat", model="small", provider="alpha", status="success", error_kind=None, stream=False,
            cached=False, attempts=1, input_tokens=10, output_tokens=5, usage_estimated=False, cost_nanousd=7,
            credits_nanousd=9, duration_ms=120, first_token_ms=None,
        ))
        print(number, time.monotonic(), flush=True)
        number += 1
        await asyncio.sleep(0.002)

asyncio.run(main(sys.argv[1], float(sys.argv[2])))
"""


async def numbers(engine) -> list[int]:
    async with engine.connect() as connection:
        return list((await connection.scalars(text("SELECT started_unix_ms FROM ledger ORDER BY 1"))).all())


@pytest.mark.live
async def test_a_killed_process_loses_only_the_last_moments(database_url, recorder, make_row) -> None:
    victim = subprocess.Popen(  # noqa: ASYNC220  our own code; waiting for it is the test
        [sys.executable, "-c", VICTIM, database_url, str(COMMIT_SECONDS)], cwd=ROOT, stdout=subprocess.PIPE
    )
    try:
        assert victim.stdout is not None
        first = victim.stdout.readline()
        time.sleep(COMMIT_MARGIN_SECONDS + LIFETIME_SECONDS)  # noqa: ASYNC251  the victim lives meanwhile
        killed = time.monotonic()
    finally:
        victim.send_signal(signal.SIGKILL)
    said = [first, *victim.stdout.readlines()]
    victim.stdout.close()
    assert victim.wait(10) == -signal.SIGKILL

    lines = [line.split() for line in said if line.endswith(b"\n")]
    safe = [int(number) for number, when in lines if float(when) < killed - COMMIT_SECONDS - COMMIT_MARGIN_SECONDS]
    assert len(safe) > 50

    engine = await open_database(database_url, recorder)
    kept = await numbers(engine)
    assert kept == list(range(len(kept)))
    assert set(safe) <= set(kept)
    if engine.dialect.name == "sqlite":
        async with engine.connect() as connection:
            assert await connection.scalar(text("PRAGMA integrity_check")) == "ok"

    # It goes on where it was: what may have been committed or not is given again, and nothing is doubled.
    ledger = LedgerWriter(engine, LedgerConfig(), recorder)
    ledger.start()
    for number in range(len(lines) + 5):
        ledger.append(make_row(number, started_unix_ms=number))
    assert await ledger.close(10) == 0
    assert await numbers(engine) == list(range(len(lines) + 5))
    await engine.dispose()


async def test_rows_wait_while_the_database_may_not_grow(sqlite_url, recorder, make_row, poll_until, caplog) -> None:
    engine = await open_database(sqlite_url, recorder)
    pages = 12

    @event.listens_for(engine.sync_engine, "begin")
    def bound(connection) -> None:
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")

    ledger = LedgerWriter(engine, LedgerConfig(commit_seconds=0.01, commit_rows=20), recorder)
    ledger.start()
    for number in range(600):
        ledger.append(make_row(number, started_unix_ms=number))
    await poll_until(lambda: "database or disk is full" in caplog.text, "the writer met the bound")
    waiting = ledger.queued_rows
    assert 0 < waiting < 600
    assert await numbers(engine) == list(range(600 - waiting))
    pages = 1_000_000
    await poll_until(lambda: ledger.queued_rows == 0, "the rows are written once there is room")
    assert await numbers(engine) == list(range(600))
    assert recorder.of(LedgerRowsDropped) == []
    assert await ledger.close(5) == 0
    await engine.dispose()


@pytest.mark.live
async def test_rows_wait_while_the_disk_is_full(tmp_path, recorder, make_row, poll_until, caplog) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount, umount = shutil.which("mount"), shutil.which("umount")
    if os.geteuid() != 0 or mount is None or umount is None:
        pytest.skip("a small disk of its own needs root and mount")
    mounted = subprocess.run([mount, "-t", "tmpfs", "-o", "size=2m", "tmpfs", disk], check=False, capture_output=True)  # noqa: ASYNC221
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.decode().strip()}")
    try:
        await _fill_and_free(disk, recorder, make_row, poll_until, caplog)
    finally:
        subprocess.run([umount, disk], check=True)  # noqa: ASYNC221  ours


async def _fill_and_free(disk: Path, recorder, make_row, poll_until, caplog) -> None:
    engine = await open_database(f"sqlite+aiosqlite:///{disk}/gatewayz.db", DisabledRecorder())
    ledger = LedgerWriter(engine, LedgerConfig(commit_seconds=0.01, commit_rows=50), recorder)
    ledger.start()
    filler = disk / "filler"
    filler.write_bytes(b"x" * 1_700_000)
    for number in range(1_000):
        ledger.append(make_row(number, started_unix_ms=number))
    await poll_until(lambda: "the database fails" in caplog.text, "the writer met the full disk")
    waiting = ledger.queued_rows
    assert 0 < waiting <= 1_000
    filler.unlink()
    await poll_until(lambda: ledger.queued_rows == 0, "the rows are written once there is room")
    assert await numbers(engine) == list(range(1_000))
    async with engine.connect() as connection:
        assert await connection.scalar(text("PRAGMA integrity_check")) == "ok"
    assert recorder.of(LedgerRowsDropped) == []
    assert await ledger.close(5) == 0
    await engine.dispose()
