"""The console's file: owner-only, kept over restarts and kills, one process at a time, no other program's."""

import sqlite3
import stat

import pytest

from console.store.file import StoreFileError
from console.store.limits import PAGE_BYTES, Limits
from console.store.store import Store
from tests.harness.console import NOW_NS, ConsoleClock, log_record, logs, open_console, span, traces


def open_store(path):
    return Store(path, Limits(), unix_s=ConsoleClock(), print_line=lambda _: None)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


async def test_a_restart_keeps_everything_and_goes_on(tmp_path):
    for number in range(1, 4):
        with open_console(tmp_path) as console:
            await console.send(traces(span()))
            await console.send(logs(log_record(f"word{number}")))
            assert console.store.state().received == {"traces": number, "metrics": 0, "logs": number}
            assert console.rows("SELECT id, message FROM log_records ORDER BY id DESC LIMIT 1") == [
                (number, f"word{number}")
            ]


async def test_file_and_folder_are_the_owners_alone(tmp_path):
    with open_console(tmp_path / "made") as console:
        await console.send(traces(span()))
        assert mode(tmp_path / "made") == 0o700
        assert {mode(path) for path in (tmp_path / "made").iterdir()} == {0o600}


def test_an_earlier_file_is_closed_to_others(tmp_path):
    path = tmp_path / "console.sqlite"
    open_store(path).close()
    path.chmod(0o644)
    open_store(path).close()
    assert mode(path) == 0o600


def test_a_second_console_is_refused(tmp_path):
    path = tmp_path / "console.sqlite"
    store = open_store(path)
    with pytest.raises(StoreFileError, match=r"in use by another console; stop it, or name another file with --data"):
        open_store(path)
    store.close()
    open_store(path).close()


def test_a_second_console_is_refused_by_another_name_of_the_file_too(tmp_path):
    path, link = tmp_path / "console.sqlite", tmp_path / "link.sqlite"
    store = open_store(path)
    link.symlink_to(path)
    with pytest.raises(StoreFileError, match=r"console\.sqlite is in use by another console"):
        open_store(link)
    store.close()
    store = open_store(link)
    with pytest.raises(StoreFileError, match="in use by another console"):
        open_store(path)
    store.close()


async def test_a_deleted_file_refuses_what_would_be_lost_with_it(tmp_path):
    aside = tmp_path / "aside"
    with open_console(tmp_path) as console:
        await console.send(traces(span()))
        console.store.path.rename(aside)
        for content in (None, b"another"):
            if content is not None:
                console.store.path.write_bytes(content)
            response = await console.post("/v1/traces", traces(span()).SerializeToString())
            assert (response.status_code, response.headers["retry-after"]) == (503, "5")
        aside.rename(console.store.path)
        await console.send(traces(span()))
        assert console.rows("SELECT count(*) FROM spans") == [(2,)]
        refused, again = console.lines
        assert "was deleted or replaced; telemetry is refused until it is back" in refused
        assert again == f"writes to {console.store.path} again"


@pytest.mark.parametrize(
    "content",
    [b"no database at all, but long enough for a header of SQLite" * 20, b"SQLite format 3\x00" + b"\xff" * 5_000],
)
def test_a_file_that_is_no_database_is_refused_and_not_changed(tmp_path, content):
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    path.chmod(0o644)
    with pytest.raises(StoreFileError, match=r"cannot use .*notes\.txt: .*; name another file with --data"):
        open_store(path)
    assert (path.read_bytes(), mode(path)) == (content, 0o644)
    assert list(tmp_path.iterdir()) == [path]


def test_a_database_of_another_program_is_refused_and_not_changed(tmp_path):
    path = tmp_path / "ledger.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE accounts(id)")
    connection.close()
    path.chmod(0o644)
    content = path.read_bytes()
    with pytest.raises(StoreFileError, match="is a database of another program; name another file with --data"):
        open_store(path)
    assert (path.read_bytes(), mode(path)) == (content, 0o644)


def test_a_file_of_another_version_is_refused(tmp_path):
    path = tmp_path / "console.sqlite"
    open_store(path).close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(StoreFileError, match=r"another version of the console \(99, not 1\); delete it, or"):
        open_store(path)


def test_a_corrupt_file_is_one_line(tmp_path):
    path = tmp_path / "console.sqlite"
    open_store(path).close()
    content = bytearray(path.read_bytes())
    content[100:4_096] = b"\xa5" * 3_996
    path.write_bytes(content)
    with pytest.raises(StoreFileError) as raised:
        open_store(path)
    assert "malformed" in str(raised.value)
    assert "\n" not in str(raised.value)


async def fill(folder):
    with open_console(folder) as console:
        for number in range(40):
            lines = logs(*(log_record("x" * 2_000, time_unix_nano=NOW_NS - number) for _ in range(10)))
            await console.send(lines)
        return dict(console.rows("SELECT name, rootpage FROM sqlite_schema WHERE rootpage > 0"))


def damage(path, page):
    """Overwrite one page of a closed file."""
    with path.open("r+b") as file:
        file.seek((page - 1) * PAGE_BYTES)
        file.write(b"\xa5" * PAGE_BYTES)


async def test_a_file_whose_tables_are_damaged_is_one_line(tmp_path):
    roots = await fill(tmp_path)
    damage(tmp_path / "console.sqlite", roots["counts"])
    with pytest.raises(StoreFileError, match=r"cannot use .*malformed; delete it, or name another file with --data"):
        open_store(tmp_path / "console.sqlite")


async def test_a_file_of_which_a_part_is_damaged_is_reported_once_and_the_rest_goes_on(tmp_path):
    roots = await fill(tmp_path)
    damage(tmp_path / "console.sqlite", roots["log_records_by_time"])
    clock = ConsoleClock()
    with open_console(tmp_path, clock=clock) as console:
        for _ in range(3):
            assert (await console.post("/v1/logs", logs(log_record()).SerializeToString())).status_code == 503
            await console.send(traces(span()))
        assert len(console.lines) == 1
        assert "console.sqlite is damaged: database disk image is malformed" in console.lines[0]
        assert "Stop the console and delete the file, or name another one with --data" in console.lines[0]


@pytest.mark.parametrize("name", ["", "file.txt/console.sqlite"])
def test_a_path_that_cannot_be_a_file_is_one_line(tmp_path, name):
    (tmp_path / "file.txt").write_text("")
    with pytest.raises(StoreFileError, match="name another file with --data"):
        open_store(tmp_path / name)
