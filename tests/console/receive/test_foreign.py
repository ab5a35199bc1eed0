"""Requests that the SDKs of other languages sent (`foreign/README.md`): none refused, none stored wrong."""

import math
from pathlib import Path

import pytest

from console.store.read_logs import read_trace_logs
from console.store.read_metrics import read_exponentials, read_families, read_histograms, read_numbers, read_series
from console.store.read_traces import read_trace
from tests.harness.console import PROTOBUF, ConsoleClock, open_console

FOLDER = Path(__file__).with_name("foreign")
RECORDED_S = 1_795_968_200
FOREVER = (0, 2**63 - 1)
BIG = {"node": 2**53 - 1, "java": 2**63 - 1}


@pytest.fixture(params=["node", "java"])
async def sent(request, tmp_path):
    """Yield a console that got all requests of one SDK, and the SDK's name."""
    with open_console(tmp_path, clock=ConsoleClock(RECORDED_S)) as console:
        files = [path for path in (FOLDER / request.param).iterdir() if path.name[0].isdigit()]
        assert len(files) == 10
        for path in files:
            signal, *kinds = path.name.partition("-")[2].split(".")
            response = await console.post(
                f"/v1/{signal}",
                path.read_bytes(),
                media_type="application/json" if "json" in kinds else PROTOBUF,
                headers={"content-encoding": "gzip"} if "gz" in kinds else {},
            )
            assert response.status_code == 200, response.content
            assert response.content in (b"", b"{}")
        yield console, request.param


async def test_traces_and_logs(sent):
    console, sdk = sent
    [(trace_id,)] = console.rows("SELECT trace_id FROM spans WHERE name = 'charge'")
    with console.store.readers.connection() as connection:
        # They start within the same millisecond, which is all that JavaScript measures.
        server, client = sorted(read_trace(connection, trace_id.hex()), key=lambda each: each.kind)
        [record] = read_trace_logs(connection, trace_id.hex())
    assert (server.name, server.kind, server.parent_span_id) == ("POST /cart", 2, None)
    attributes = dict(server.attributes)
    attributes.pop("ratio", None)
    # JavaScript has no integers apart from floats: its exporter sends 2.25 as a float and 1 as an integer.
    assert attributes == {"items": [1, 2], "prices": [1.5, 2.25], "big": BIG[sdk], "flag": True, "text": "ä"}
    assert [(len(each.trace_id), each.attributes) for each in server.links] == [(32, {"why": "retry"})]
    assert server.resource.service_name == f"{sdk}-shop"
    assert server.resource.attributes["host.tags"] == ["a", "b"]
    assert (server.scope_name, server.scope_version) == ("shop.cart", "1.5")
    assert (client.parent_span_id, client.status_code, client.status_message) == (server.span_id, 2, "card refused")
    assert [(each.name, each.attributes) for each in client.events] == [("card.refused", {"tries": [1, 2]})]
    assert record.body == {"card": {"kind": "debit", "tries": [1, 2]}}
    assert (record.severity_number, record.severity_text, record.span_id) == (13, "WARN", client.span_id)
    if sdk == "node":
        assert record.attributes == {"nested": {"deep": [True, "x"]}, "blob": {"bytesValue": "AAE="}}


def points_of(console, name, read):
    with console.store.readers.connection() as connection:
        [family] = read_families(connection, name)
        series = [each.id for each in read_series(connection, family.id)]
        return family, list(read(connection, series, *FOREVER))[:2]


@pytest.mark.parametrize("prefix", ["cumulative", "delta"])
async def test_metrics(sent, prefix):
    console, _ = sent
    growing = prefix == "cumulative"
    family, points = points_of(console, f"{prefix}.orders", read_numbers)
    assert (family.kind, family.temporality, family.is_monotonic) == ("sum", 2 if growing else 1, True)
    assert [each.value for each in points] == ([2, 4] if growing else [2, 2])
    family, points = points_of(console, f"{prefix}.level", read_numbers)
    assert (family.is_monotonic, [each.value for each in points]) == (False, [-1, -2])
    family, points = points_of(console, f"{prefix}.seconds", read_histograms)
    assert (family.kind, family.unit) == ("histogram", "s")
    counts = [(1, (0, 1, 0)), (2, (0, 2, 0))] if growing else [(1, (0, 1, 0))] * 2
    assert [(each.count, each.counts) for each in points] == counts
    family, points = points_of(console, f"{prefix}.sizes", read_exponentials)
    assert family.kind == "exponential_histogram"
    counts = [(4, 1, 3), (8, 2, 6)] if growing else [(4, 1, 3)] * 2
    assert [(each.count, each.zero_count, sum(each.positive_counts)) for each in points] == counts
    assert all(math.isclose(each.sum, 7.0 * each.count / 4) for each in points)
