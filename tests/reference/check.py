"""Plays the traffic on a running stack and holds the whole reference to what the stores then return."""

from collections.abc import Callable
from pathlib import Path

import aiohttp

from compose.native.stack import Stack
from tests.reference.entries import read_reference
from tests.reference.findings import Findings
from tests.reference.grafana_check import check_panels, check_variables
from tests.reference.loki_check import check_logs
from tests.reference.prometheus_check import check_alerts, check_queries, read_samples
from tests.reference.reference_traffic import play
from tests.reference.truth import Truth
from tests.stack.prometheus_servers import Prometheus
from tests.stack.stores import Stores


async def check_reference(stack: Stack, folder: Path, seed: int, say: Callable[[str], None]) -> Findings:
    """Return what was found. Ends the stack's Collector, so that no sample comes while queries are compared."""
    reference = read_reference()
    timeout = aiohttp.ClientTimeout(total=60)
    async with Stores(stack) as stores, aiohttp.ClientSession(timeout=timeout) as session:
        played = await play(stack, stores, folder, seed, say)
        server = Prometheus("prometheus", stack.url("prometheus"), session)
        truth = Truth(played, await read_samples(server, played))
        queries = await check_queries(server, reference, truth)
        findings = (
            *queries,
            *await check_logs(stores, reference, played),
            *await check_alerts(server, reference, truth),
            *check_panels(reference, queries),
            *await check_variables(server, reference),
        )
    return Findings(findings=findings, problems=tuple(dict.fromkeys(truth.problems)))
