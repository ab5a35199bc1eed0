"""With the opt-in, real servers store the conventions' metrics under the names of stock dashboards, with the documented metrics' values."""

import random
from collections.abc import Mapping
from pathlib import Path

import aiohttp

from tests.harness.exposition import Series, scrape
from tests.harness.polling import read_until
from tests.stack.known_requests import MODEL, scene

OPT_IN = {"OTEL_SEMCONV_STABILITY_OPT_IN": "http,database,gen_ai_latest_experimental"}
PREFIXES = ("http_server_", "http_client_", "db_client_", "gen_ai_client_")
FAMILIES = {
    "http_server_request_duration_seconds",
    "http_server_active_requests",
    "http_client_request_duration_seconds",
    "db_client_operation_duration_seconds",
    "gen_ai_client_operation_duration_seconds",
    "gen_ai_client_token_usage",
}
"""All but the time to the first chunk: no request streams."""

SETTLE_SECONDS = 60.0


def _is_over(found: Mapping[Series, float]) -> bool:
    """Whether no call is in flight: the client has a response before the gateway has counted its end."""
    active = {labels: value for (name, labels), value in found.items() if name == "http_server_active_requests"}
    return not any(value for labels, value in active.items() if ("http_request_method", "POST") in labels)


async def test_prometheus_has_each_convention_as_the_gateway_shows_it(
    binaries: dict[str, Path], tmp_path: Path, seed: int
) -> None:
    async with scene(binaries, tmp_path, random.Random(seed), OPT_IN) as playing:
        stores = playing.stores
        async with aiohttp.ClientSession() as session:
            shown = await read_until(lambda: scrape(session, playing.gateway.url), _is_over)
        # The gateway's jobs continue to query its database, so only the metrics of requests are final.
        expected = {
            series: value
            for series, value in shown.items()
            if series[0].startswith(PREFIXES) and not series[0].startswith("db_")
        }

        def families(found: Mapping[Series, float]) -> set[str]:
            return {name.removesuffix("_count") for name, _ in found if not name.endswith(("_bucket", "_sum"))}

        async def stored() -> dict[Series, float]:
            return {key: value for key, value in (await stores.samples()).items() if key[0].startswith(PREFIXES)}

        def with_bounds(series: Mapping[Series, float]) -> dict[Series, float]:
            """`le` is written as 1.0 by the gateway and as 1 by Prometheus."""
            return {
                (name, tuple((key, str(float(value)) if key == "le" else value) for key, value in labels)): number
                for (name, labels), number in series.items()
            }

        wanted = with_bounds(expected)

        def is_whole(found: Mapping[Series, float]) -> bool:
            return wanted.items() <= with_bounds(found).items() and families(found) == FAMILIES

        found = await read_until(stored, is_whole, timeout_seconds=SETTLE_SECONDS)
        assert {key: value for key, value in with_bounds(found).items() if key in wanted} == wanted
        assert families(found) == FAMILIES
        model = f'{{gen_ai_request_model="{MODEL}"}}'
        assert await stores.number(f"sum(gen_ai_client_token_usage_sum{model})") == 30  # two responses of 10 and 5
        attempts = await stores.number("sum(model_inference_requests_total)")
        assert await stores.number(f"sum(gen_ai_client_operation_duration_seconds_count{model})") == attempts == 5
