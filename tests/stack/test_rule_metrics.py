"""Each metric of another server that a rule or a runbook reads is exported by the real server under that name, once there is what it counts."""

import io
import random
import re
import time
from pathlib import Path

import aiohttp
from google.protobuf.message import Message

from compose.native.ports import LOOPBACK, free_ports
from compose.native.servers import ROOT
from compose.native.stack import make_stack
from tests.harness.polling import read_until
from tests.stack.otlp_requests import log_request, metric_request, trace_id, trace_request

NAME = re.compile(r"\b(?:otelcol|prometheus|loki|tempo|alertmanager)_[a-z_]+")
SPANS_IN_REQUEST = 2_500
"""Twice as many, with 2 000 bytes each, are more than the 5 MB that Tempo takes of one trace."""

SETTLED_SECONDS = 60.0
NOT_PROVOKED = {
    # What Tempo does not take it discards, and takes the request. The other two signals are counted by the same code of the Collector.
    "otelcol_exporter_send_failed_spans",
}


def names_read() -> set[str]:
    """Return the names in expressions of rules and in queries of runbooks."""
    texts = [path.read_text() for path in (ROOT / "dashboards" / "rules").glob("*.yml")]
    texts = ["\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#")) for text in texts]
    for path in (ROOT / "docs" / "runbooks").glob("*.md"):
        texts += re.findall(r"^```promql\n(.*?)^```$", path.read_text(), re.MULTILINE | re.DOTALL)
    return {name for text in texts for name in NAME.findall(text)}


async def send(session: aiohttp.ClientSession, url: str, message: Message) -> None:
    headers = {"content-type": "application/x-protobuf"}
    async with session.post(url, data=io.BytesIO(message.SerializeToString()), headers=headers) as response:
        assert response.status == 200, await response.text()


async def test_every_metric_of_a_server_that_is_read_is_exported(binaries: dict[str, Path], tmp_path: Path) -> None:
    wanted = names_read() - NOT_PROVOKED
    assert len(wanted) > 15
    stack = make_stack(binaries, tmp_path / "stack", free_ports())
    try:
        await stack.start()
        metrics_urls = [stack.url(name) for name in ("prometheus", "loki", "tempo", "alertmanager")]
        metrics_urls.append(f"http://{LOOPBACK}:{stack.ports.collector_metrics}")
        async with aiohttp.ClientSession() as session:
            collector = stack.url("otelcol")
            deltas = metric_request([1])
            deltas.resource_metrics[0].scope_metrics[0].metrics[
                0
            ].sum.aggregation_temporality = 1  # which Prometheus refuses
            await send(session, f"{collector}/v1/metrics", deltas)
            await send(session, f"{collector}/v1/logs", log_request(["{}"]))  # weeks old, which Loki discards
            large = trace_request(SPANS_IN_REQUEST, start_unix_ns=time.time_ns(), attributes={"text": "x" * 2_000})
            for _ in range(2):
                for span in large.resource_spans[0].scope_spans[0].spans:
                    span.trace_id = trace_id(1)
                    span.span_id = random.randbytes(8)
                await send(session, f"{collector}/v1/traces", large)

            async def exported() -> set[str]:
                found: set[str] = set()
                for url in metrics_urls:
                    async with session.get(f"{url}/metrics") as response:
                        text = await response.text()
                        found |= set(re.findall(r"^([a-z_]+)[{ ]", text, re.MULTILINE))
                return found

            found = await read_until(exported, wanted.issubset, timeout_seconds=SETTLED_SECONDS)
    finally:
        await stack.stop()
    assert wanted - found == set()
