"""A gateway that is stopped or killed in the middle of its work: what is computed from the ledger goes on where it was.

SIGTERM loses no ledger row. SIGKILL loses at most the last rows: those of calls that ended within the
group commit's time and that of the commit itself.
"""

import itertools
import os
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.harness.exposition import read_exposition
from tests.harness.polling import wait_for
from tests.harness.programs import UPSTREAM, Programs, running_programs

pytestmark = pytest.mark.live

DEADLINE_SECONDS = 40.0
HOUR_MS = 3_600_000
COMMIT_SECONDS = 0.25
LOST_SECONDS = 1.0
SENDERS = 4
LABEL = (("model", "test/model"),)
CONFIG = """
[server]
port = 0
[monitoring]
share_seconds = 0.0
[database]
url = "sqlite+aiosqlite:///{folder}/gateway.db"
[ledger]
commit_seconds = {commit_seconds}
[jobs]
business_seconds = 0.2
model_usage_seconds = 0.2
cost_rollup_seconds = 0.2
lease_seconds = 4.5
[[providers]]
name = "only"
base_url = "{upstream}/flaky/v1"
[[models]]
name = "test/model"
routes = [{{ provider = "only", upstream_model = "f", input_usd_per_million = 1.0, output_usd_per_million = 2.0 }}]
"""


class CallRecord:
    """The senders' own record: when each served call ended (monotonic seconds), and how it ended."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.ended: dict[str, float] = {}
        self.is_success: dict[str, bool] = {}

    def note(self, trace_id: str, is_success: bool) -> None:
        with self._lock:
            self.ended[trace_id] = time.monotonic()
            self.is_success[trace_id] = is_success


class Commits:
    """When rows appeared in the ledger, seen from outside."""

    def __init__(self, count: Callable[[], int]) -> None:
        self._count = count
        self._rows = 0
        self.times: list[float] = []

    def look(self) -> int:
        """Look for new rows; return how many commits were seen."""
        rows = self._count()
        if rows > self._rows:
            self._rows = rows
            self.times.append(time.monotonic())
        return len(self.times)

    def gaps(self) -> list[float]:
        """Seconds between commits."""
        return [after - before for before, after in itertools.pairwise(self.times)]


class Environment:
    """The files and processes of one test."""

    def __init__(self, folder: Path, programs: Programs) -> None:
        self.folder = folder
        self._programs = programs
        upstream = programs.start(*UPSTREAM)
        config = folder / "gateway.toml"
        config.write_text(CONFIG.format(folder=folder, upstream=upstream.url, commit_seconds=COMMIT_SECONDS))
        self.environ = os.environ | {"GATEWAYZ_CONFIG": str(config)}
        self.secret = programs.create_key(self.environ)

    def start_gateway(self) -> tuple[subprocess.Popen[bytes], str]:
        gateway = self._programs.start("app", "serve", environ=self.environ)
        return gateway.process, gateway.url

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        database = sqlite3.connect(self.folder / "gateway.db", timeout=DEADLINE_SECONDS)
        try:
            return database.execute(statement).fetchall()
        finally:
            database.close()

    def rolled_up(self) -> tuple[int, int]:
        """Calls and cost of all hours that are rolled up."""
        return self.query("SELECT sum(calls), sum(cost_nanousd) FROM hourly_costs")[0]

    def finished(self) -> tuple[int, int]:
        """Calls and cost of all hours that have ended, from the ledger."""
        this_hour_unix_ms = time.time_ns() // 1_000_000 // HOUR_MS * HOUR_MS
        calls = self.query("SELECT started_unix_ms, cost_nanousd FROM ledger")
        costs = [cost for started_unix_ms, cost in calls if started_unix_ms < this_hour_unix_ms]
        return len(costs), sum(costs)

    def ratios(self) -> tuple[float, float]:
        """Uptime and token efficiency as the ledger has them; every row is of the last 24 hours here but those made older."""
        (row,) = self.query(
            f"""SELECT sum(recent * (status = 'success')) * 1.0 / sum(recent), sum(output_tokens) * 1.0 / sum(input_tokens)
            FROM (SELECT *, started_unix_ms > {time.time_ns() // 1_000_000 - 24 * HOUR_MS} AS recent FROM ledger)"""  # noqa: S608  a number
        )
        return row


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[Environment]:
    with running_programs(tmp_path) as programs:
        yield Environment(tmp_path, programs)


def state(address: str) -> tuple[float | None, float | None]:
    samples = read_exposition(httpx.get(f"{address}/metrics", headers={"accept": "text/plain"}).text)
    return samples.get(("gatewayz_model_uptime_24h", LABEL)), samples.get(("gatewayz_token_efficiency", LABEL))


def send(address: str, secret: str, record: CallRecord, until: threading.Event) -> None:
    """Send calls, every third of which fails, until stopped or until the gateway no longer responds."""
    number = 0
    with httpx.Client(base_url=address, headers={"authorization": f"Bearer {secret}"}, timeout=10.0) as client:
        while not until.is_set():
            number += 1
            script = {"status": 500} if number % 3 == 0 else {"prompt_tokens": 10, "completion_tokens": 5}
            body = {
                "model": "test/model",
                "messages": [{"role": "user", "content": "one"}],
                "x_script": {"flaky": script},
            }
            try:
                response = client.post("/v1/chat/completions", json=body)
            except httpx.TransportError:
                return
            record.note(response.headers["x-trace-id"], response.status_code == 200)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["SIGTERM", "SIGKILL"])
def test_what_comes_from_the_ledger_goes_on(environment: Environment, number: signal.Signals) -> None:
    process, address = environment.start_gateway()
    record, stop = CallRecord(), threading.Event()
    threads = [threading.Thread(target=send, args=(address, environment.secret, record, stop)) for _ in range(SENDERS)]
    for thread in threads:
        thread.start()
    commits = Commits(lambda: int(environment.query("SELECT count(*) FROM ledger")[0][0]))
    wait_for(
        lambda: commits.look() >= 4 and len(record.ended) >= 200 and state(address)[0] is not None,
        "calls are served and counted",
    )
    process.send_signal(number)
    ended_at = time.monotonic()
    process.wait(DEADLINE_SECONDS)
    stop.set()
    for thread in threads:
        thread.join(DEADLINE_SECONDS)
    assert process.returncode == (0 if number is signal.SIGTERM else -signal.SIGKILL)

    status = dict(environment.query("SELECT trace_id, status FROM ledger"))
    responded = record.ended.keys()
    lost = responded - status.keys()
    if number is signal.SIGTERM:
        assert not lost
    # They are the last ones. Of each other sender a call or two may have ended for the gateway before, and for its client after.
    in_order = sorted(responded, key=lambda trace_id: record.ended[trace_id])
    first_lost = next((index for index, trace_id in enumerate(in_order) if trace_id in lost), len(in_order))
    assert len(status.keys() & set(in_order[first_lost:])) <= 2 * SENDERS
    # A commit takes as long as the disk does, but they follow each other.
    assert min(commits.gaps()) < LOST_SECONDS
    bound_seconds = LOST_SECONDS + max(commits.gaps())
    late = {trace_id for trace_id in lost if record.ended[trace_id] < ended_at - bound_seconds}
    assert not late, f"of {len(responded)} served calls {len(lost)} are lost, {len(late)} of them too old"
    for trace_id in responded & status.keys():
        assert (status[trace_id] == "success") == record.is_success[trace_id]

    # Make the calls some hours old, the last of them older than a day, so that there is something to roll up.
    rows = len(status)
    database = sqlite3.connect(environment.folder / "gateway.db", isolation_level=None)
    database.execute(f"UPDATE ledger SET started_unix_ms = started_unix_ms - (rowid % 30) * {HOUR_MS}")  # noqa: S608  a number
    before_restart = environment.ratios()
    database.close()

    second, address = environment.start_gateway()
    wait_for(lambda: state(address) == pytest.approx(before_restart), "uptime and efficiency go on after the restart")
    wait_for(lambda: environment.rolled_up() == environment.finished(), "every finished hour is rolled up")
    assert 0 < environment.rolled_up()[0] < rows
    # Rolled up or not, the sums are the same; and what comes now counts on top.
    assert state(address) == pytest.approx(before_restart)
    more, one = CallRecord(), threading.Event()
    thread = threading.Thread(target=send, args=(address, environment.secret, more, one))
    thread.start()
    wait_for(lambda: len(more.ended) >= 10, "calls are served again")
    one.set()
    thread.join(DEADLINE_SECONDS)
    wait_for(
        lambda: more.ended.keys() <= {trace_id for (trace_id,) in environment.query("SELECT trace_id FROM ledger")},
        "their rows are in the ledger",
    )
    wait_for(lambda: state(address) == pytest.approx(environment.ratios()), "the gauges follow the new calls")
    second.send_signal(signal.SIGTERM)
    assert second.wait(DEADLINE_SECONDS) == 0
