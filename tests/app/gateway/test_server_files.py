"""The files of a serving process: closed to other users, and noticed when they are deleted, replaced or cannot be written."""

import asyncio
import json
import os
import stat
from pathlib import Path

import pytest

from app.store.database_file import DatabaseFile, DatabaseFileError, check_path, keep_private
from tests.app.gateway.test_server_process import BODY, CONFIG, ENVIRON, INHERITED, bytecode, run, start  # noqa: F401


def mode(path):
    return stat.S_IMODE(Path(path).stat().st_mode)


async def chat(gateway):
    async with gateway.session.post("/v1/chat/completions", json=BODY) as response:
        assert response.status == 200
        await response.read()


async def ready(gateway):
    async with gateway.session.get("/health/ready") as response:
        return response.status


async def until_ready_is(gateway, status):
    async with asyncio.timeout(30):
        while await ready(gateway) != status:  # noqa: ASYNC110  the state is another process's
            await asyncio.sleep(0.05)


@pytest.mark.live
async def test_the_database_is_its_owners_alone(start):  # noqa: F811
    gateway = await start()
    await chat(gateway)
    for name in ("gateway.db", "gateway.db-wal", "gateway.db-shm"):
        assert mode(gateway.folder / name) == 0o600, name
    gateway.signal()
    assert (await gateway.end())[0] == 0


def test_files_that_are_there_are_closed_to_others(tmp_path):
    path = tmp_path / "g.db"
    for suffix in ("", "-wal", "-shm"):
        each = tmp_path / f"g.db{suffix}"
        each.touch()
        each.chmod(0o644)
    keep_private(path)
    assert {mode(each) for each in tmp_path.iterdir()} == {0o600}


@pytest.mark.live
@pytest.mark.parametrize("how", ["deleted", "replaced"])
async def test_a_database_that_is_gone_is_noticed(start, wire, how):  # noqa: F811
    gateway = await start()
    await chat(gateway)
    await wire.until(gateway.ledger, "the first row")
    await until_ready_is(gateway, 200)
    kept = gateway.folder / "kept.db"
    (gateway.folder / "gateway.db").rename(kept)
    if how == "replaced":
        (gateway.folder / "gateway.db").write_bytes(b"")
    await until_ready_is(gateway, 503)
    for _ in range(2):
        await chat(gateway)
    gateway.signal()
    code, out, err = await gateway.end()
    assert code == 3
    assert "2 ledger rows were not written\n" in err
    warnings = [json.loads(line)["message"] for line in out.splitlines() if '"level":"warning"' in line]
    assert any(how in line and "gateway.db" in line for line in warnings), warnings


@pytest.mark.live
async def test_a_database_that_is_put_back_goes_on_and_no_row_is_lost(start, wire):  # noqa: F811
    gateway = await start()
    await chat(gateway)
    await wire.until(gateway.ledger, "the first row")
    (gateway.folder / "gateway.db").rename(gateway.folder / "kept.db")
    await chat(gateway)
    await until_ready_is(gateway, 503)
    (gateway.folder / "kept.db").rename(gateway.folder / "gateway.db")
    await until_ready_is(gateway, 200)
    gateway.signal()
    assert (await gateway.end())[0] == 0
    assert gateway.ledger() == [("success", None)] * 2


def test_a_database_in_memory_has_no_file_to_check():
    file = DatabaseFile(None)
    file.remember()
    file.check()


def test_a_file_that_is_another_one_is_named(tmp_path):
    path = tmp_path / "g.db"
    path.touch()
    file = DatabaseFile(path)
    file.remember()
    file.check()
    path.rename(tmp_path / "other")
    with pytest.raises(DatabaseFileError, match=r"g\.db was deleted"):
        file.check()


@pytest.mark.parametrize("what", ["fifo", "folder", "missing"])
def test_what_cannot_be_a_database_has_a_reason(tmp_path, what):
    path = tmp_path / "none" / "g.db" if what == "missing" else tmp_path / "g.db"
    if what == "fifo":
        os.mkfifo(path)
    elif what == "folder":
        path.mkdir()
    with pytest.raises(Exception, match=r"not a regular file|it is a folder|there is no folder"):
        check_path(path)


@pytest.mark.skipif(os.geteuid() == 0 and not Path("/proc/sys/kernel").is_dir(), reason="no read-only folder here")
def test_a_read_only_folder_is_the_reason():
    folder = Path("/proc/sys/kernel")  # read-only for everybody, whoever asks
    with pytest.raises(Exception, match="is read-only, and SQLite keeps its journal beside"):
        check_path(folder / "g.db")


@pytest.mark.live
async def test_a_spool_folder_that_cannot_be_written_is_told_at_the_start(run, tmp_path):  # noqa: F811
    path = tmp_path / "gateway.toml"
    (tmp_path / "file").touch()
    spool = f'\n[telemetry]\nspool_folder = "{tmp_path}/file/spool"\n'
    path.write_text(CONFIG.format(folder=tmp_path, port=1, grace=1) + spool)
    gateway = await run("serve", "--config", str(path), environ=ENVIRON)
    line = await gateway.line()
    assert line.startswith(f"gateway: warning: telemetry.spool_folder {tmp_path}/file/spool: Not a directory; ")
    assert (await gateway.line()).startswith("gateway: listening on ")
    gateway.signal()
    assert (await gateway.end())[0] == 0
