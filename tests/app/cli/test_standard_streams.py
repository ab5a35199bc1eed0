"""Standard streams that are full, unread, closed or absent: no command hangs, raises, or ends with another exit code."""

import contextlib
import fcntl
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from app.cli.standard_streams import StandardStream

ROOT = Path(__file__).resolve().parents[3]
CONFIG = '[database]\nurl = "sqlite+aiosqlite:///{folder}/gateway.db"\n[[plans]]\nname = "free"\n'


@pytest.fixture
def pipe():
    """A pipe as small as the kernel allows; the writing end is as another process would inherit it: blocking."""
    reading, writing = os.pipe()
    if hasattr(fcntl, "F_SETPIPE_SZ"):
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4_096)
    yield reading, writing
    for each in (reading, writing):
        with contextlib.suppress(OSError):
            os.close(each)


def stream(descriptor, *, encoding="utf-8", patience_seconds=0.05, renewed=False):
    return StandardStream(descriptor, encoding=encoding, patience_seconds=patience_seconds, renewed=renewed)


def test_a_full_pipe_costs_patience_once_and_recovers(pipe):
    reading, writing = pipe
    out = stream(writing)
    assert out.write("x" * 100_000) < 100_000
    assert out.write("lost\n") == 0
    assert os.read(reading, 65_536) == b"x" * 4_096
    assert out.write("next\n") == 5
    assert os.read(reading, 100) == b"\nnext\n"  # on a line of its own, behind the one that was cut
    assert os.get_blocking(writing)  # other processes that share the pipe notice nothing


def test_a_stream_with_all_patience_waits_for_its_reader(pipe):
    reading, writing = pipe
    out = stream(writing, patience_seconds=None)
    found = []

    def read():
        while sum(map(len, found)) < 200_000:
            found.append(os.read(reading, 1_000))

    reader = threading.Thread(target=read)
    reader.start()
    assert out.write("y" * 200_000) == 200_000
    reader.join(20)
    assert b"".join(found) == b"y" * 200_000


def test_patience_is_renewed_by_a_reader_that_takes_something_and_may_be_lifted(pipe):
    reading, writing = pipe
    out = stream(writing, patience_seconds=0.0, renewed=True)
    assert out.write("x" * 100_000) < 100_000
    out.wait_for_reader()
    received = bytearray()

    def read_all():
        while data := os.read(reading, 65_536):
            received.extend(data)

    reader = threading.Thread(target=read_all)
    reader.start()
    assert out.write("y" * 100_000) == 100_000
    out.close()
    os.close(writing)
    reader.join()
    assert received.endswith(b"y" * 100_000)


def test_a_command_whose_reader_takes_nothing_ends(pipe):
    code = (
        "import app.cli.standard_streams as s; s.STDOUT_PATIENCE_SECONDS = 0.05; s.open_standard_streams();"
        "print('x' * 200_000); raise SystemExit(7)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, stdout=pipe[1], timeout=30, check=False)
    assert done.returncode == 7


def test_closed_pipes_and_full_disks_lose_text_and_raise_nothing(pipe):
    reading, writing = pipe
    os.close(reading)
    assert stream(writing).write("lost\n") == 0
    with Path("/dev/full").open("w") as full:
        out = stream(full.fileno())
        assert out.write("lost\n") == 0
        print("lost", file=out, flush=True)


def test_a_socket_that_nobody_reads_does_not_block():
    near, far = socket.socketpair()
    with near, far:
        out = stream(near.fileno())
        assert out.write("z" * 10_000_000) < 10_000_000
        assert far.recv(3) == b"zzz"


@pytest.mark.parametrize(
    ("encoding", "text", "expected"),
    [
        ("utf-8", "é…", "é…".encode()),
        ("ascii", '{"name":"é… 😀"}', b'{"name":"\\u00e9\\u2026 \\ud83d\\ude00"}'),
        ("latin-1", "é…", b"\\u00e9\\u2026"),
        ("utf-8", "\ud800", b"\\ud800"),
    ],
)
def test_what_an_encoding_does_not_know_is_escaped_as_json_does(pipe, encoding, text, expected):
    reading, writing = pipe
    assert stream(writing, encoding=encoding).write(text) == len(text)
    assert os.read(reading, 1_000) == expected


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "gateway.toml"
    path.write_text(CONFIG.format(folder=tmp_path))
    return path


def run(arguments, shell_part="", **environ):
    """Run a command behind a shell's redirections; returns the finished process."""
    command = f'exec "$@" {shell_part}'
    return subprocess.run(
        ["/bin/sh", "-c", command, "sh", sys.executable, "-m", "app", *arguments],
        cwd=ROOT,
        env={**os.environ, **environ},
        capture_output=True,
        timeout=60,
        check=False,
    )


KEYS = ["keys", "list"]


@pytest.mark.live
@pytest.mark.parametrize(
    ("redirection", "arguments", "code"),
    [
        (">&-", KEYS, 0),
        (">&- 2>&-", KEYS, 0),
        ("<&- >&- 2>&-", KEYS, 0),
        (">/dev/full", KEYS, 0),
        (">/dev/full", ["--help"], 0),
        (">&-", ["--help"], 0),
        ("2>/dev/full", ["keys", "revoke", "no"], 1),
        ("2>&-", ["x"], 2),
        ("2>/dev/full", ["x"], 2),
    ],
)
def test_no_stream_changes_an_exit_code(config, redirection, arguments, code):
    if arguments == KEYS:
        made = run(["keys", "create", "--name", "desk", "--plan", "free"], GATEWAYZ_CONFIG=str(config))
        assert made.returncode == 0, made.stderr
    done = run(arguments, redirection, GATEWAYZ_CONFIG=str(config))
    assert done.returncode == code
    assert b"Traceback" not in done.stderr
    assert b"Exception" not in done.stderr


@pytest.mark.live
def test_a_reader_that_closes_early_leaves_no_traceback(config):
    assert run(["keys", "create", "--name", "Zoé", "--plan", "free"], GATEWAYZ_CONFIG=str(config)).returncode == 0
    reading, writing = os.pipe()
    os.close(reading)
    with subprocess.Popen(
        [sys.executable, "-m", "app", "keys", "list", "--config", str(config)],
        cwd=ROOT,
        stdout=writing,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            os.close(writing)
            assert process.communicate(timeout=60) == (None, b"")
        finally:
            process.kill()  # `Popen` waits at the end of its block
    assert process.returncode == 0


@pytest.mark.live
@pytest.mark.parametrize("arguments", [["keys", "list"], ["keys", "list", "--json"], ["keys", "revoke", "--help"]])
def test_an_ascii_terminal_gets_everything_escaped(config, arguments):
    assert run(["keys", "create", "--name", "Zoé", "--plan", "free"], GATEWAYZ_CONFIG=str(config)).returncode == 0
    done = run(arguments, GATEWAYZ_CONFIG=str(config), PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.isascii()
    assert b"\\u" in done.stdout
