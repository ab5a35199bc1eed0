"""Queries every server, sends and follows the marked request, and repeats the queries whose results it may have changed."""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Final

from app.doctor.facts import COLLECTED_AS, COUNTS_COLLECTIONS, DataSource, Facts, Marked, PrometheusFacts, Server
from app.doctor.follow import Followed, Follower
from app.doctor.query_collector import MakeSender, query_collector_metrics, query_otlp
from app.doctor.query_gateway import query_metrics, query_server, send_marked
from app.doctor.query_prometheus import PrometheusApi, query_setup
from app.doctor.query_providers import query_providers
from app.doctor.query_stores import query_data_sources
from app.doctor.scrape import Scrape, growth
from app.doctor.settings import Settings
from app.doctor.web import Web
from otel.catalogue import CATALOGUE, http

READY_PATHS: Final[Mapping[str, tuple[str, str]]] = {
    "gateway": ("gateway", "/health/live"),
    "gateway_ready": ("gateway", "/health/ready"),
    "collector_health": ("collector_health", "/"),
    "prometheus": ("prometheus", "/-/ready"),
    "loki": ("loki", "/ready"),
    "tempo": ("tempo", "/ready"),
    "alertmanager": ("alertmanager", "/-/ready"),
    "alertmanager_status": ("alertmanager", "/api/v2/status"),
    "grafana": ("grafana", "/api/health"),
}
"""The address of each query, by the name under which its response is stored."""

_SETTLE_SECONDS: Final = 3.0
_OWN_FAMILIES: Final = tuple(spec.name for spec in CATALOGUE if not spec.name.startswith("process_"))
"""Every Prometheus client library has the `process_` families: these are not the gateway's alone."""


async def observe(
    settings: Settings,
    web: Web,
    *,
    make_sender: MakeSender,
    random_bytes: Callable[[int], bytes],
    log: Callable[[str], None],
    clock: Callable[[], float] = time.monotonic,
    unix_seconds: Callable[[], float] = time.time,
) -> Facts:
    """Look at the whole pipeline within `settings.timeout_seconds`, and a few seconds for the queries before and after it."""
    deadline = clock() + settings.timeout_seconds
    collector_url = settings.addresses["collector_metrics"]
    log("querying the servers")
    servers, (_, before), collector_before, (otlp, needs_token), providers = await asyncio.gather(
        _query_servers(web, settings),
        _query_fresh_metrics(web, settings, clock),
        query_collector_metrics(web, collector_url),
        query_otlp(settings.otlp, make_sender, settings.request_seconds),
        query_providers(settings.providers, settings.request_seconds),
    )
    follower = Follower(
        settings, web, servers, before, collector_before, log=log, clock=clock, unix_seconds=unix_seconds
    )
    marked, found = None, Followed()
    if settings.send_request and servers["gateway"].responds:
        marked = await send_marked(web, settings, random_bytes)
        log(f"sent {marked.method} {marked.path}, trace {marked.trace_id}")
        is_silent = bool(otlp) and collector_before is None and all(each.is_silent for each in otlp.values())
        found = await follower.follow(marked, deadline, collector_is_silent=is_silent)
    (metrics, after), collector_after, prometheus, data_sources = await asyncio.gather(
        _query_metrics_since(web, settings, marked, before, clock),
        _query_settled_collector(web, settings, collector_before, clock),
        _query_prometheus(web, settings, servers, before, follower.gateway_unix_seconds()),
        _query_data_sources(web, settings, servers),
    )
    return Facts(
        servers=servers,
        metrics=metrics,
        gateway_before=before,
        gateway_after=after,
        collector_before=collector_before,
        collector_after=collector_after,
        otlp=otlp,
        otlp_needs_token=needs_token,
        marked=marked,
        expected_value=found.expected_value,
        prometheus=prometheus,
        stored=found.stored,
        line=found.line,
        trace_spans=found.trace_spans,
        data_sources=data_sources,
        max_skew_seconds=settings.max_skew_seconds,
        waited_seconds=found.waited_seconds,
        providers=providers,
    )


async def _query_fresh_metrics(
    web: Web, settings: Settings, clock: Callable[[], float]
) -> tuple[Server, Scrape | None]:
    """Read the gateway's metrics from a new collection.

    One collection serves many scrapes. With an older one, an export that was refused before the doctor began would count as refused
    meanwhile.
    """
    end_at = clock() + _SETTLE_SECONDS
    _, first = await query_metrics(web, settings, (COUNTS_COLLECTIONS,))
    counted = f"{COUNTS_COLLECTIONS}_count"
    if first is not None and first.matching(counted):
        while clock() < end_at:
            await asyncio.sleep(settings.poll_seconds)
            _, now = await query_metrics(web, settings, (COUNTS_COLLECTIONS,))
            if growth(first, now, counted) > 0:
                break
    return await query_metrics(web, settings)


async def _query_metrics_since(
    web: Web, settings: Settings, marked: Marked | None, before: Scrape | None, clock: Callable[[], float]
) -> tuple[Server, Scrape | None]:
    """Read the gateway's metrics from a collection that has the marked request, where one comes within a bound."""
    end_at = clock() + max(_SETTLE_SECONDS, settings.request_seconds)
    while marked is not None and marked.status is not None and clock() < end_at:
        _, now = await query_metrics(web, settings, (http.REQUESTS, COUNTS_COLLECTIONS))
        if now is None:
            break
        if growth(before, now, http.REQUESTS, **marked.labels) > 0:
            break
        await asyncio.sleep(settings.poll_seconds)
    return await query_metrics(web, settings)


async def _query_settled_collector(
    web: Web, settings: Settings, before: Scrape | None, clock: Callable[[], float]
) -> Scrape | None:
    """Read the Collector's metrics once what it received had time to leave: other traffic may have arrived a moment ago."""
    end_at = clock() + _SETTLE_SECONDS
    while True:
        after = await query_collector_metrics(web, settings.addresses["collector_metrics"])
        is_settled = all(
            growth(before, after, f"otelcol_exporter_sent_{items}") > 0
            or growth(before, after, f"otelcol_receiver_accepted_{items}") <= 0
            for items in COLLECTED_AS.values()
        )
        if is_settled or clock() >= end_at:
            return after
        await asyncio.sleep(settings.poll_seconds)


async def _query_servers(web: Web, settings: Settings) -> dict[str, Server]:
    replies = await asyncio.gather(
        *(
            query_server(web, settings.addresses[name], path, settings.metrics_token if name == "gateway" else None)
            for name, path in READY_PATHS.values()
        )
    )
    return dict(zip(READY_PATHS, replies, strict=True))


async def _query_prometheus(
    web: Web, settings: Settings, servers: Mapping[str, Server], gateway: Scrape | None, unix_seconds: float
) -> PrometheusFacts:
    if not servers["prometheus"].responds:
        return PrometheusFacts()
    return await query_setup(PrometheusApi(web, settings.addresses["prometheus"]), gateway, unix_seconds, _OWN_FAMILIES)


async def _query_data_sources(
    web: Web, settings: Settings, servers: Mapping[str, Server]
) -> tuple[DataSource, ...] | None:
    if not servers["grafana"].responds:
        return None
    return await query_data_sources(web, settings.addresses["grafana"], settings.grafana_token)
