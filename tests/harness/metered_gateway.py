"""Real telemetry for a gateway of the tests, whose metrics are read as a scrape shows them."""

import io
import json
import random
import time
from collections.abc import Iterable
from typing import Any

from app.http.route_table import TRAFFIC_PATHS
from otel.config.environ import telemetry_config_from_environ
from otel.labels import LabelBounds
from otel.pipeline.build import PipelineSettings, build_pipeline
from tests.harness.exposition import read_exposition


class GatewayTelemetry:
    """Pass `recorder` to the gateway. Spans and log lines are on `stdout` once telemetry is shut down."""

    def __init__(self, routes: Iterable[tuple[str, str]], *, console: bool = False) -> None:
        self.stdout = io.StringIO()
        self.pipeline = build_pipeline(
            telemetry_config_from_environ({"OTEL_TRACES_EXPORTER": "console"} if console else {}),
            PipelineSettings(
                bounds=LabelBounds.from_routes("gatewayz", tuple(routes), paths=TRAFFIC_PATHS),
                version="0",
                instance_id="i",
                clock=time.monotonic,
                unix_ns=time.time_ns,
                rng=random.Random(1),
                stdout=self.stdout,
                share_seconds=0.0,
            ),
        )
        self.recorder = self.pipeline.recorder

    def samples(self, name: str) -> dict[tuple[tuple[str, str], ...], float]:
        """Return the samples of one name by their sorted labels."""
        text = self.pipeline.exposition.respond(method="GET", accept=None, accept_encoding=None).body.decode()
        return {labels: value for (sample, labels), value in read_exposition(text).items() if sample == name}

    def counted(self, name: str) -> dict[tuple[tuple[str, str], ...], float]:
        """Return the samples of one name that are not 0."""
        return {labels: value for labels, value in self.samples(name).items() if value}

    def objects(self) -> list[dict[str, Any]]:
        """Shut telemetry down; return its spans (they have a `kind`) and log lines."""
        self.pipeline.shutdown(1.0)
        return [json.loads(line) for line in self.stdout.getvalue().splitlines()]
