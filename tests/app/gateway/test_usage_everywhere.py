"""What a call costs is the same in the ledger, the metrics, the log line and the span, to the nano-dollar, whatever the provider reports."""

import asyncio
import io
import json
import random
import sqlite3
import time

import pytest

from app.config.pricing_schema import PriceTierConfig
from app.config.schema import LedgerConfig, ModelConfig, RouteConfig
from app.store.database import open_database
from app.store.ledger import LedgerWriter
from otel.config.environ import telemetry_config_from_environ
from otel.events import CallFinished
from otel.labels import LabelBounds
from otel.pipeline import PipelineSettings, build_pipeline
from tests.app.gateway.usage_cases import STREAMED, WHOLE, Case
from tests.harness.exposition import read_exposition
from tests.harness.recording import RecordingRecorder

pytestmark = pytest.mark.live

NANO = 1_000_000_000
FULL = {
    "input_usd_per_million": 2.0,
    "cached_input_usd_per_million": 0.2,
    "cache_write_usd_per_million": 2.5,
    "cache_write_1h_usd_per_million": 4.0,
    "output_usd_per_million": 8.0,
    "reasoning_usd_per_million": 10.0,
    "audio_input_usd_per_million": 40.0,
    "audio_output_usd_per_million": 80.0,
}
PRICES = {
    "acme/tiny": FULL,
    "acme/trusting": FULL | {"trust_reported_cost": True},
    "acme/free": {"trust_reported_cost": True},
    "acme/codex": {
        "input_usd_per_million": 1.25,
        "cached_input_usd_per_million": 0.125,
        "output_usd_per_million": 10.0,
    },
    "acme/unpriced": {},
    "acme/half-priced": {"input_usd_per_million": 2.0},
    "acme/gift": {"input_usd_per_million": 0.0, "output_usd_per_million": 0.0},
    "acme/by-request": {"input_usd_per_million": 1.0, "output_usd_per_million": 1.0, "usd_per_request": 0.005},
    "acme/tiered": {
        "input_usd_per_million": 1.25,
        "output_usd_per_million": 10.0,
        "price_tiers": (
            PriceTierConfig(above_input_tokens=200_000, input_usd_per_million=2.5, output_usd_per_million=15.0),
        ),
    },
    "acme/embed": {"input_usd_per_million": 0.02},
}
DETAILS = ("cached", "cache_write", "reasoning", "audio_input", "audio_output")


class KeptRows:
    """A ledger that keeps its rows in memory too, for the fixture's own checks."""

    def __init__(self, writer):
        self.rows = []
        self._writer = writer

    def append(self, row):
        self.rows.append(row)
        self._writer.append(row)


class Observed:
    """A gateway with the real telemetry and the real ledger, and what they record of each call."""

    def __init__(self, gateway, upstream, telemetry, stdout, database):
        self.gateway = gateway
        self.upstream = upstream
        self.telemetry = telemetry
        self._stdout = stdout
        self._database = database

    def samples(self):
        response = self.telemetry.exposition.respond(method="GET", accept=None, accept_encoding=None)
        return read_exposition(response.body.decode())

    def lines(self):
        return [json.loads(line) for line in self._stdout.getvalue().splitlines()]

    def rows(self):
        connection = sqlite3.connect(self._database)
        connection.row_factory = sqlite3.Row
        try:
            return {row["trace_id"]: dict(row) for row in connection.execute("SELECT * FROM ledger")}
        finally:
            connection.close()


@pytest.fixture
async def observed(make_upstream, make_gateway, stack, tmp_path):
    stdout = io.StringIO()
    telemetry = build_pipeline(
        telemetry_config_from_environ({"OTEL_TRACES_EXPORTER": "console"}),
        PipelineSettings(
            bounds=LabelBounds.from_routes(
                "gatewayz", tuple(("alpha", model) for model in PRICES), paths=frozenset({"/v1/chat/completions"})
            ),
            version="0",
            instance_id="i",
            clock=time.monotonic,
            unix_ns=time.time_ns,
            rng=random.Random(1),
            stdout=stdout,
            share_seconds=0.0,
        ),
    )
    engine = await open_database(f"sqlite+aiosqlite:///{tmp_path}/gateway.db", RecordingRecorder())
    stack.push_async_callback(engine.dispose)
    writer = LedgerWriter(engine, LedgerConfig(commit_seconds=0.01), RecordingRecorder())
    writer.start()
    models = [
        ModelConfig(
            name=name,
            operation="embeddings" if name == "acme/embed" else "chat",
            routes=(RouteConfig(provider="alpha", upstream_model=name, **prices),),
        )
        for name, prices in PRICES.items()
    ]
    upstream = await make_upstream()
    gateway = await make_gateway(upstream, models=models, recorder=telemetry.recorder, ledger=KeptRows(writer))
    yield Observed(gateway, upstream, telemetry, stdout, f"{tmp_path}/gateway.db")
    await writer.close(10.0)
    telemetry.shutdown(1.0)


def answering(case: Case, wire):
    """Return a script that responds with the case's usage, at the places that the case names."""

    async def whole(exchange):
        response = dict(wire.completion)
        if case.model == "acme/embed":
            response = {"object": "list", "data": [{"object": "embedding", "index": 0, "embedding": [0.5]}]}
        response.pop("usage", None)
        await exchange.reply(response if case.usages is ... else response | {"usage": case.usages})

    async def streamed(exchange):
        chunks = [wire.chunk("Hel")]
        for where, usage in case.usages:
            if where == "first":
                chunks[0] |= {"usage": usage}
            elif where == "alone":
                chunks.append(wire.chunk() | {"choices": [], "usage": usage})
            elif where == "choice":
                chunks.append(wire.chunk())
                chunks[-1]["choices"][0]["usage"] = usage
            elif where == "x_groq":
                chunks.append(wire.chunk() | {"x_groq": {"id": "r", "usage": usage}})
            else:
                chunks.append(wire.chunk() | {"usage": usage})
        chunks[1:1] = [wire.chunk("lo"), wire.chunk(finish="stop")]
        await exchange.stream(*chunks)

    return streamed if case.is_stream else whole


def expected(case: Case):
    details = (case.cached, case.written, case.reasoning, case.heard, case.spoken)
    return {
        "tokens": (case.input, case.output),
        "details": dict(zip(DETAILS, details, strict=True)),
        "cost": case.nano,
        "source": case.source,
        "reported": case.reported,
        "unpriced": case.unpriced,
        "estimated": case.source == "estimated",
    }


def of_ledger(row):
    return {
        "tokens": (row["input_tokens"], row["output_tokens"]),
        "details": dict(
            zip(
                DETAILS,
                (
                    row[name]
                    for name in (
                        "cached_tokens",
                        "cache_write_tokens",
                        "reasoning_tokens",
                        "input_audio_tokens",
                        "output_audio_tokens",
                    )
                ),
                strict=True,
            )
        ),
        "cost": row["cost_nanousd"],
        "source": row["cost_source"],
        "reported": row["reported_nanousd"],
        "unpriced": row["unpriced_tokens"],
        "estimated": bool(row["usage_estimated"]),
    }


def of_line(line):
    reported = line.get("reported_cost_usd")
    return {
        "tokens": (line["input_tokens"], line["output_tokens"]),
        "details": dict(
            zip(
                DETAILS,
                (
                    line.get(name, 0)
                    for name in (
                        "cached_tokens",
                        "cache_write_tokens",
                        "reasoning_tokens",
                        "input_audio_tokens",
                        "output_audio_tokens",
                    )
                ),
                strict=True,
            )
        ),
        "cost": round(line["cost_usd"] * NANO),
        "source": line["cost_source"],
        "reported": None if reported is None else round(reported * NANO),
        "unpriced": line.get("unpriced_tokens", 0),
        "estimated": line.get("usage_estimated", False),
    }


def of_span(span):
    attributes = span["attributes"]
    reported = attributes.get("gatewayz.reported_cost_usd")
    return {
        "tokens": (attributes["gen_ai.usage.input_tokens"], attributes["gen_ai.usage.output_tokens"]),
        "details": dict(
            zip(
                DETAILS,
                (
                    attributes.get(name, 0)
                    for name in (
                        "gen_ai.usage.cache_read.input_tokens",
                        "gen_ai.usage.cache_creation.input_tokens",
                        "gen_ai.usage.reasoning.output_tokens",
                        "gatewayz.usage.audio.input_tokens",
                        "gatewayz.usage.audio.output_tokens",
                    )
                ),
                strict=True,
            )
        ),
        "cost": round(attributes["gatewayz.cost_usd"] * NANO),
        "source": attributes["gatewayz.cost_source"],
        "reported": None if reported is None else round(reported * NANO),
        "estimated": attributes["gatewayz.usage.estimated"],
    }


def of_metrics(case, before, after):
    """Return how much each family has grown, and by which source."""

    def growth(name, **labels):
        key = name, tuple(sorted(labels.items()))
        return after.get(key, 0.0) - before.get(key, 0.0)

    route = {"provider": "alpha", "model": case.model}
    money = {
        source: round(growth("gatewayz_cost_usd_total", **route, cost_source=source) * NANO)
        for source in ("reported", "priced", "estimated", "unpriced")
    }
    return {
        "tokens": tuple(round(growth("tokens_used_total", **route, token_type=each)) for each in ("input", "output")),
        "details": {
            each: round(growth("gatewayz_tokens_detail_total", **route, token_detail=each)) for each in DETAILS
        },
        "cost": round(growth("gatewayz_cost_by_provider", provider="alpha") * NANO),
        "by source": {source: nano for source, nano in money.items() if nano},
        "credits": round(growth("credits_used_total", **route) * NANO),
        "unpriced": round(growth("gatewayz_unpriced_tokens_total", **route)),
        "estimated": round(growth("gatewayz_estimated_usage_total", **route)),
        "disbelieved": tuple(
            sorted(
                dict(labels)["token_type"]
                for name, labels in after
                if name == "gatewayz_implausible_usage_total"
                and growth(name, **dict(labels))
            )
        ),
    }  # fmt: skip


async def test_every_shape_costs_the_same_everywhere(observed, wire):
    """Each shape by its hand-computed integers; a shape that differs is named with what differs."""
    assert len(WHOLE) + len(STREAMED) >= 60
    assert len({case.name for case in (*WHOLE, *STREAMED)}) == len(WHOLE) + len(STREAMED)
    traces, differences = {}, []
    for case in (*WHOLE, *STREAMED):
        observed.upstream.script = answering(case, wire)
        before = observed.samples()
        if case.model == "acme/embed":
            body = json.dumps({"model": case.model, "input": "Say hello"}).encode()
            response = await observed.gateway.post("/v1/embeddings", body)
        else:
            response = await observed.gateway.chat(model=case.model, stream=case.is_stream)
        assert response.status == 200, case.name
        trace_id = response.headers["x-trace-id"]
        traces[trace_id] = case
        await wire.until(
            lambda trace_id=trace_id: any(
                line.get("trace_id") == trace_id and line["logger"] == "gatewayz.request"
                for line in observed.lines()
                if "logger" in line
            ),
            "the log line",
        )
        found = of_metrics(case, before, observed.samples())
        wanted = {
            "tokens": (case.input, case.output),
            "details": expected(case)["details"],
            "cost": case.nano,
            "by source": {case.source: case.nano} if case.nano else {},
            "credits": case.nano,
            "unpriced": case.unpriced,
            "estimated": int(case.source == "estimated"),
            "disbelieved": case.disbelieved,
        }
        differences += [
            (case.name, "metrics", key, found[key], wanted[key]) for key in wanted if found[key] != wanted[key]
        ]
    await wire.until(lambda: len(observed.rows()) == len(traces), "the ledger's rows")
    observed.telemetry.shutdown(5.0)
    recorded = {
        "ledger": {trace_id: of_ledger(row) for trace_id, row in observed.rows().items()},
        "line": {
            line["trace_id"]: of_line(line) for line in observed.lines() if line.get("logger") == "gatewayz.request"
        },
        "span": {
            span["context"]["trace_id"].removeprefix("0x"): of_span(span)
            for span in observed.lines()
            if span.get("kind") == "SpanKind.CLIENT"
        },
    }
    for place, by_trace in recorded.items():
        assert by_trace.keys() == traces.keys(), place
        for trace_id, found in by_trace.items():
            wanted = expected(traces[trace_id])
            differences += [
                (traces[trace_id].name, place, key, value, wanted[key])
                for key, value in found.items()
                if value != wanted[key]
            ]
    assert differences == []


async def test_what_abandoned_work_may_cost_is_the_same_everywhere(observed, wire):
    observed.upstream.script = lambda exchange: exchange.gone()
    call = asyncio.create_task(observed.gateway.chat(max_tokens=100))
    await wire.until(lambda: observed.upstream.exchanges, "the request at the provider")
    call.cancel()
    await wire.until(lambda: len(observed.rows()) == 1, "the ledger's row")
    observed.telemetry.shutdown(5.0)
    route = (("model", "acme/tiny"), ("provider", "alpha"))
    (row,) = observed.rows().values()
    (line,) = (line for line in observed.lines() if line.get("logger") == "gatewayz.request")
    (span,) = (span for span in observed.lines() if span.get("kind") == "SpanKind.CLIENT")
    recorded = {
        "ledger": row["exposure_nanousd"],
        "metric": round(observed.samples()["gatewayz_exposure_usd_total", route] * NANO),
        "line": round(line["exposure_usd"] * NANO),
        "span": round(span["attributes"]["gatewayz.exposure_usd"] * NANO),
    }
    # 100 tokens of output, at 8 000 nano-US-dollars.
    assert set(recorded.values()) == {800_000}, recorded
    assert row["cost_nanousd"] == row["credits_nanousd"] == 3 * 2_000


async def test_the_first_use_of_a_target_without_a_price_is_one_warning(make_upstream, make_gateway, caplog):
    models = [
        ModelConfig(name=name, routes=(RouteConfig(provider="alpha", upstream_model=f"up/{name}"),)) for name in "ab"
    ]
    gateway = await make_gateway(await make_upstream(), models=models)
    for name in "abab":
        assert (await gateway.chat(model=name)).status == 200
    lines = [line for line in caplog.records if line.name == "gatewayz.usage"]
    assert [line.upstream_model for line in lines] == ["up/a", "up/b"]
    assert "no price is known for up/a at alpha" in lines[0].getMessage()
    calls = gateway.recorder.of(CallFinished)
    assert [(call.usage.unpriced_tokens, call.usage.cost_source) for call in calls] == [(14, "unpriced")] * 4
