"""`gatewayz console` as a process: kills lose nothing acknowledged, signals end it cleanly, a failed start is one line."""

import gzip
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest

from tests.harness.console import log_record, logs, span, traces
from tests.harness.console_process import ROOT, STOP_SECONDS, ConsoleProcess, clean_environ, running_console, used_port
from tests.harness.polling import wait_for

pytestmark = pytest.mark.live

HEADERS = {"content-type": "application/x-protobuf", "content-encoding": "gzip"}
EACH = 20
TIMEOUT_SECONDS = 30.0


class Sender:
    """Sends batches of spans one after the other, each until it is acknowledged; `acknowledged` counts the spans."""

    def __init__(self, console: ConsoleProcess) -> None:
        self._console = console
        self._stop = threading.Event()
        self.acknowledged = 0
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def end(self) -> None:
        """Stop after the batch that is being sent was acknowledged."""
        self._stop.set()
        self._thread.join(TIMEOUT_SECONDS)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        pause = threading.Event()
        with httpx.Client(timeout=TIMEOUT_SECONDS) as client:
            while not self._stop.is_set():
                request = traces(*(span() for _ in range(EACH)))
                body = gzip.compress(request.SerializeToString())
                while not self._is_acknowledged(client, body):
                    pause.wait(0.02)
                self.acknowledged += EACH

    def _is_acknowledged(self, client: httpx.Client, body: bytes) -> bool:
        try:
            return client.post(f"{self._console.otlp_url}/v1/traces", content=body, headers=HEADERS).status_code == 200
        except httpx.TransportError:
            return False


def test_kills_in_the_middle_lose_nothing_that_was_acknowledged_and_store_nothing_twice(tmp_path: Path) -> None:
    with running_console(tmp_path) as console:
        sender = Sender(console)
        for _ in range(2):
            before = sender.acknowledged
            wait_for(lambda before=before: sender.acknowledged >= before + 10 * EACH, console.output)
            console.kill()
            console.start()
        sender.end()
        assert console.stop(signal.SIGTERM) == 0
        assert console.rows("SELECT count(*), count(DISTINCT span_id) FROM spans") == [
            (sender.acknowledged, sender.acknowledged)
        ]
        assert console.rows("PRAGMA integrity_check") == [("ok",)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly_though_a_page_watches(tmp_path: Path, number: int) -> None:
    with running_console(tmp_path) as console:
        body = logs(log_record("one")).SerializeToString()
        media_type = {"content-type": "application/x-protobuf"}
        assert httpx.post(f"{console.otlp_url}/v1/logs", content=body, headers=media_type).status_code == 200
        with httpx.stream("GET", f"{console.page_url}/api/tail?kind=logs", timeout=TIMEOUT_SECONDS) as tail:
            assert tail.status_code == 200
            assert console.stop(number) == 0
        assert console.output().splitlines()[-1] == "console: stopped"
        assert "Traceback" not in console.output()
    assert not (tmp_path / "console.sqlite-wal").exists()


def test_it_ends_with_the_process_that_holds_its_stdin(tmp_path: Path) -> None:
    arguments = ("--listen", "127.0.0.1:0", "--otlp", "127.0.0.1:0", "--data", str(tmp_path / "c.sqlite"))
    process = subprocess.Popen(
        [sys.executable, "-m", "app", "console", *arguments, "--until-stdin-ends"],
        cwd=ROOT,
        env=clean_environ(),
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    while b"listening on" not in (line := process.stderr.readline()):
        assert line
    _, rest = process.communicate(timeout=STOP_SECONDS)
    assert (process.returncode, rest) == (0, b"console: stopped\n")


def run(*arguments: str, **environ: str) -> tuple[int, str]:
    """Run a console that should not start; return its exit code and its stderr."""
    done = subprocess.run(
        [sys.executable, "-m", "app", "console", *arguments],
        cwd=ROOT,
        env={**clean_environ(), **environ},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    assert done.stdout == ""
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--listen", "nonsense"), "--listen: nonsense is no address; write HOST:PORT"),
        (("--otlp", "127.0.0.1:70000"), "--otlp: 127.0.0.1:70000 is no address"),
        (("--retention", "long"), "--retention takes a time of up to a year, such as 90m, 24h or 7d"),
        (("--max-bytes", "1MiB"), "--max-bytes takes a size of at least 64MiB"),
        (("--listen", "0.0.0.0:0"), "--listen 0.0.0.0 can be reached from other machines: set a token"),
        (("--tempo-link", "javascript:alert()"), "--tempo-link takes an http or https URL that contains {trace_id}"),
    ],
)
def test_an_argument_that_makes_no_sense_is_one_line(arguments: tuple[str, ...], words: str) -> None:
    code, stderr = run(*arguments)
    assert code == 2
    assert stderr.count("\n") == 1
    assert stderr.startswith(f"console: {words}")


def test_a_short_token_is_one_line() -> None:
    code, stderr = run(GATEWAYZ_CONSOLE_TOKEN="short")
    assert (code, stderr.count("\n")) == (2, 1)
    assert "GATEWAYZ_CONSOLE_TOKEN takes at least 16" in stderr
    assert "short" not in stderr


def test_a_port_in_use_and_a_foreign_file_are_one_line(tmp_path: Path) -> None:
    free = ("--listen", "127.0.0.1:0", "--otlp", "127.0.0.1:0")
    with used_port() as other:
        code, stderr = run(*free[:3], f"127.0.0.1:{other.getsockname()[1]}", "--data", str(tmp_path / "c.sqlite"))
    assert (code, stderr.count("\n")) == (1, 1)
    assert "the port is in use; name another address with --otlp" in stderr
    connection = sqlite3.connect(tmp_path / "other.db")
    connection.execute("CREATE TABLE accounts(id)")
    connection.close()
    code, stderr = run(*free, "--data", str(tmp_path / "other.db"))
    assert (code, stderr.count("\n")) == (1, 1)
    assert "is a database of another program; name another file with --data" in stderr


def test_serve_with_a_console_sends_to_it_and_ends_it(tmp_path: Path) -> None:
    environ = {
        **clean_environ(),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "GATEWAYZ_DATABASE__URL": f"sqlite+aiosqlite:///{tmp_path}/g.db",
    }
    log_path = tmp_path / "log"
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "app", "serve", "--port", "0", "--console", "127.0.0.1:0"),
                *("--console-data", str(tmp_path / "own" / "desk.sqlite"), "--console-retention", "7d"),
            ],
            cwd=ROOT,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log,
        )
    try:
        wait_for(lambda: "gateway: listening on" in log_path.read_text() or process.poll(), log_path.read_text)
        url = log_path.read_text().partition("gateway: listening on ")[2].split()[0]
        assert httpx.get(f"{url}/nowhere").status_code == 404
        [child] = [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]
        os.kill(process.pid, signal.SIGINT)
        assert process.wait(STOP_SECONDS) == 0, log_path.read_text()
        assert not Path(f"/proc/{child}").exists()
    finally:
        process.kill()
        process.wait()
    # The request's telemetry, which the gateway delivered while it stopped.
    assert "console: keeps telemetry of the last 168 h" in log_path.read_text()
    connection = sqlite3.connect(tmp_path / "own" / "desk.sqlite")
    assert connection.execute("SELECT path, status FROM requests").fetchall() == [("unmatched", 404)]
    assert connection.execute("SELECT count(*) FROM number_points").fetchone() > (100,)
    connection.close()


def test_an_option_of_the_console_without_one_is_one_line(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "app", "serve", "--port", "0", "--console-retention", "7d"],
        cwd=ROOT,
        env={**clean_environ(), "GATEWAYZ_DATABASE__URL": f"sqlite+aiosqlite:///{tmp_path}/g.db"},
        capture_output=True,
        text=True,
        timeout=STOP_SECONDS,
        check=False,
    )
    assert ended.returncode == 2
    assert ended.stderr.splitlines()[-1] == "gateway: --console-retention is an option of the console: add --console"
