"""The documented LogQL queries find exactly the lines of known requests; and every line is one JSON object."""

import asyncio
import json
import random
import re
import string
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from compose.native.servers import ROOT
from tests.harness.polling import holds_within
from tests.stack.known_requests import FAST, Scene, scene

SECONDS = 30.0
PAGE = ROOT / "docs" / "operations.md"
LEVELS = {"debug", "info", "warning", "error", "critical"}


@pytest.fixture(scope="module")
async def played(binaries: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    """A scene in which libraries have had their say, too: what uvicorn thinks of a request that is none."""
    async with scene(binaries, tmp_path_factory.mktemp("logql"), random.Random(20261124), {}) as playing:
        await send_nonsense(playing.gateway.url)

        async def are_there() -> bool:
            return len(await loki(playing, '{job="gatewayz"}')) >= len(written(playing))

        assert await holds_within(are_there, SECONDS), playing.gateway.last_lines()
        yield playing


async def send_nonsense(url: str) -> None:
    reader, writer = await asyncio.open_connection(urlsplit(url).hostname, urlsplit(url).port)
    writer.write(b"\x16\x03\x01 no HTTP at all\r\n\r\n")
    await reader.read()
    writer.close()
    await writer.wait_closed()


def documented_queries() -> dict[str, str]:
    """Return the queries of the page by the comments above them."""
    block = re.search(r"```logql\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert block is not None
    return dict(re.findall(r"^# (.+)\n(.+)$", block[1], re.MULTILINE))


async def loki(playing: Scene, query: str) -> list[tuple[dict[str, str], str]]:
    """Return the labels and the text of each line, oldest first."""
    response: dict[str, Any] = await playing.stores.get(
        "loki",
        "/loki/api/v1/query_range",
        query=query,
        start=(playing.stores.start_seconds - 60) * 1_000_000_000,
        end=(int(time.time()) + 5) * 1_000_000_000,
        limit=5_000,
        direction="forward",
    )
    found = [
        (int(stamp), each["stream"], line) for each in response["data"]["result"] for stamp, line in each["values"]
    ]
    return [(labels, line) for _, labels, line in sorted(found, key=lambda each: each[0])]


def written(playing: Scene) -> list[dict[str, Any]]:
    """Return the log lines that the gateway wrote to its output."""
    return [json.loads(line) for line in playing.gateway.log_path.read_text().splitlines() if line.startswith("{")]


def test_the_page_quotes_four_queries() -> None:
    assert list(documented_queries().values()) == [
        '{job="gatewayz"}',
        '{job="gatewayz"} | json | level="error"',
        '{job="gatewayz"} | json | provider="openrouter"',
        '{job="gatewayz"} | json | trace_id="${trace_id}"',
    ]


async def test_all_logs_of_the_service_are_what_it_wrote(played: Scene) -> None:
    lines = await loki(played, documented_queries()["All logs from gatewayz service"])
    expected = [
        {key: value for key, value in line.items() if key not in {"trace_id", "span_id"}} for line in written(played)
    ]

    def order(line: dict[str, Any]) -> str:
        return json.dumps(line, sort_keys=True)

    assert sorted((json.loads(line) for _, line in lines), key=order) == sorted(expected, key=order)
    assert len(lines) >= len(played.requests) + 1


async def test_error_logs_are_those_of_what_failed(played: Scene) -> None:
    lines = await loki(played, documented_queries()["Error logs only"])
    assert {labels["trace_id"] for labels, _ in lines} == {played.requests["failed everywhere"].trace_id}
    assert [json.loads(line)["status"] for _, line in lines] == [played.requests["failed everywhere"].status]


async def test_logs_of_a_provider_are_those_that_name_it(played: Scene) -> None:
    lines = await loki(played, documented_queries()["Logs for specific provider"])
    assert FAST == "openrouter"
    expected = {line["trace_id"] for line in written(played) if line.get("provider") == FAST}
    assert played.requests["failed over to openrouter"].trace_id in expected
    assert played.requests["served by openai"].trace_id not in expected
    assert {labels["trace_id"] for labels, _ in lines} == expected
    assert all(json.loads(line)["provider"] == FAST for _, line in lines)


async def test_the_lines_of_a_trace_are_found_by_its_id_and_its_id_finds_the_trace(played: Scene) -> None:
    query = documented_queries()["Logs with trace correlation (for tracing to Tempo)"]
    for name, known in played.requests.items():
        lines = await loki(played, string.Template(query).substitute(trace_id=known.trace_id))
        loggers = Counter(json.loads(line)["logger"] for _, line in lines)
        # One line of the request, and a warning of each attempt that failed.
        failed_attempts = len(known.providers) - (known.status == 200)
        assert loggers == Counter({"gatewayz.request": 1, "gatewayz.attempt": failed_attempts}), name
        labels, line = next(each for each in lines if json.loads(each[1])["logger"] == "gatewayz.request")
        assert json.loads(line)["status"] == known.status
        assert "trace_id" not in json.loads(line), "it stands beside the line, in one place"
        assert labels["trace_id"] == known.trace_id
        assert not [label for label in labels if label.endswith("_extracted")]

        async def is_found(trace_id: str = labels["trace_id"]) -> bool:
            return await played.stores.has_trace(trace_id)

        assert await holds_within(is_found, SECONDS), name


async def test_an_id_that_no_request_had_finds_nothing(played: Scene) -> None:
    query = documented_queries()["Logs with trace correlation (for tracing to Tempo)"]
    assert await loki(played, string.Template(query).substitute(trace_id="f" * 32)) == []
    assert not await played.stores.has_trace("f" * 32)


async def test_every_line_is_one_json_object_of_known_shape(played: Scene) -> None:
    assert await loki(played, '{job="gatewayz"} | json | __error__!=""') == []
    lines = await loki(played, '{job="gatewayz"}')
    loggers = set()
    for _, line in lines:
        fields = json.loads(line)
        assert {"timestamp", "level", "logger", "message"} <= fields.keys(), line
        assert fields["level"] in LEVELS
        assert not [value for value in fields.values() if isinstance(value, list | dict)], line
        loggers.add(fields["logger"])
    assert {"gatewayz.request", "gatewayz.attempt", "uvicorn.error"} <= loggers, "the gateway's, and those of libraries"


async def test_the_index_labels_are_few_and_bounded(played: Scene) -> None:
    response = await played.stores.get(
        "loki", "/loki/api/v1/series", **{"match[]": '{job="gatewayz"}', "start": played.stores.start_seconds}
    )
    assert {name for series in response["data"] for name in series} <= {
        "job",
        "service_name",
        "deployment_environment_name",
    }
