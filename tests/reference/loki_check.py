"""Asks the real Loki every LogQL query of the reference, and compares the lines with the requests that the traffic program sent."""

import json
import string
import time
from collections import Counter
from typing import Any, Final

from demo.gateway_config import EXAMPLE_PROVIDER
from demo.traffic.plan import Observed, Planned
from tests.harness.polling import read_until
from tests.reference.entries import Reference
from tests.reference.findings import Finding
from tests.reference.played import Played
from tests.stack.stores import Stores

_REQUEST: Final = "gatewayz.request"
_ATTEMPT: Final = "gatewayz.attempt"
_MOST_LINES: Final = 5_000
_SERVER_ERROR: Final = 500
_SECONDS: Final = 30.0


async def check_logs(stores: Stores, reference: Reference, played: Played) -> list[Finding]:
    """Check the four queries: how many lines of requests, of failed attempts and of anything else each finds."""
    planned, observed = _with_a_failed_attempt(played)
    expected = {
        "all logs": _lines_of(played, lambda _: True),
        "error logs": _lines_of(played, lambda line: line["level"] == "error"),
        "logs of one provider": _lines_of(played, lambda line: line.get("provider") == EXAMPLE_PROVIDER),
        "logs of one trace": Counter({_REQUEST: 1, _ATTEMPT: _failed(planned)}),
    }
    counted = {
        "all logs": Counter({_REQUEST: len(played.seen), _ATTEMPT: sum(_failed(each) for each, _ in played.seen)}),
        "error logs": Counter({_REQUEST: sum(_is_error(*each) for each in played.seen)}),
        "logs of one provider": _of_provider(played),
        "logs of one trace": expected["logs of one trace"],
    }
    found = []
    for entry in reference.logql:
        query = string.Template(entry.query).substitute(trace_id=observed.trace_id or "")
        wanted = expected[entry.name]

        async def read(query: str = query) -> Counter[str]:
            return await _loggers(stores, query)

        lines = await read_until(read, lambda got, wanted=wanted: got == wanted, timeout_seconds=_SECONDS)
        problems = [
            f"{logger}: {lines[logger]} lines instead of {wanted[logger]}"
            for logger in (lines - wanted) + (wanted - lines)
        ]
        problems += [
            f"{logger}: {lines[logger]} lines, the traffic counted {count}"
            for logger, count in counted[entry.name].items()
            if lines[logger] != count
        ]
        others = lines.total() - lines[_REQUEST] - lines[_ATTEMPT]
        value = f"{lines[_REQUEST]} requests, {lines[_ATTEMPT]} failed attempts, {others} other lines"
        found.append(
            Finding(
                part="LogQL",
                name=entry.name,
                form="as written",
                query=entry.query,
                value=value,
                problems=tuple(problems),
            )
        )
    return found


async def _loggers(stores: Stores, query: str) -> Counter[str]:
    """Return how many lines of each logger a query finds."""
    response: dict[str, Any] = await stores.get(
        "loki",
        "/loki/api/v1/query_range",
        query=query,
        start=(stores.start_seconds - 60) * 1_000_000_000,
        end=(int(time.time()) + 5) * 1_000_000_000,
        limit=_MOST_LINES,
        direction="forward",
    )
    return Counter(json.loads(line)["logger"] for each in response["data"]["result"] for _, line in each["values"])


def _lines_of(played: Played, is_wanted: Any) -> Counter[str]:
    """Return how many lines of each logger the gateway itself wrote."""
    return Counter(line["logger"] for line in played.log_lines if is_wanted(line))


def _failed(planned: Planned) -> int:
    return sum(attempt.status == "error" for attempt in planned.attempts)


def _is_error(planned: Planned, observed: Observed) -> bool:
    """Whether a request ended in a 5xx status, or a stream broke after its 200."""
    status = observed.status_code or planned.status_code
    return status >= _SERVER_ERROR or planned.ends_in_error


def _of_provider(played: Played) -> Counter[str]:
    """Return the lines of the example's provider: of requests that it had last, and of its failed attempts."""
    lines: Counter[str] = Counter()
    for planned, _ in played.seen:
        providers = [attempt.provider for attempt in planned.attempts]
        lines[_REQUEST] += providers[-1:] == [EXAMPLE_PROVIDER]
        lines[_ATTEMPT] += sum(
            attempt.provider == EXAMPLE_PROVIDER and attempt.status == "error" for attempt in planned.attempts
        )
    return lines


def _with_a_failed_attempt(played: Played) -> tuple[Planned, Observed]:
    """Return a request that failed over and was answered."""
    return next(
        each for each in played.measured if each[1].trace_id and _failed(each[0]) == 1 and len(each[0].attempts) > 1
    )
