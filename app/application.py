"""Puts the gateway together; the one module that knows every part.

`create_app` makes a Litestar application from configuration, secrets and telemetry. It works under
any ASGI server. Importing this module starts nothing, and nothing is opened before the application's
lifespan begins.
"""

import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Final, cast

import msgspec
from litestar import Litestar, Router
from litestar.types import ASGIApp
from sqlalchemy.ext.asyncio import AsyncEngine

from app.anomaly.watch import AnomalyWatch
from app.config.load import Secrets
from app.config.schema import AppConfig
from app.gateway.budgets.budgets import Budgets
from app.gateway.capacity.offload import Offload
from app.gateway.clock import SystemClock
from app.gateway.gateway import Gateway
from app.gateway.in_flight import calls_in_flight, most_strangers
from app.gateway.models import ModelTable
from app.gateway.ports import Clock, ResponseCache
from app.gateway.price_catalogue import catalogue_prices
from app.gateway.provider_client import Provider
from app.gateway.provider_endpoint import provider_secrets
from app.gateway.rate_limit import RateLimiter
from app.gateway.response_cache import MemoryResponseCache
from app.http.api_headers import ApiHeaders, CrossOrigin
from app.http.api_router import api_router, calls_of
from app.http.direct_routes import DirectRoutes, framework_of
from app.http.exception_handlers import exception_handlers
from app.http.exposure import Exposure
from app.http.health import Readiness, health_router
from app.http.index import index_router
from app.http.monitoring import monitoring_router
from app.http.path_bound import PathBound
from app.http.route_table import RouteTable
from app.jobs.event_loop_lag import EventLoopWatch
from app.jobs.gauges import observe_jobs
from app.jobs.scheduler import Job, Jobs
from app.providers.gauges import observe_providers
from app.providers.jobs import provider_jobs
from app.providers.probes import Probes
from app.providers.provider_reading import provider_reading
from app.providers.registry import ProviderStates
from app.server.connection_metrics import observe_connections
from app.server.connections import Connections
from app.server.descriptors import descriptor_limit, max_client_connections, spare_descriptors
from app.store.database import check_database, close_database, create_engine, migrate
from app.store.database_file import DatabaseFile, database_file
from app.store.detector_state import StoredDetectorState
from app.store.gauges import observe_budgets
from app.store.jobs import StoreJobs
from app.store.key_directory import StoredKeyDirectory
from app.store.keys import ApiKeys
from app.store.ledger import LedgerWriter
from app.store.spending import budget_jobs, open_budgets, read_spending
from app.store.valkey_cache import ValkeyResponseCache, open_valkey_cache
from otel.events import Recorder
from otel.instrument.asgi import RequestTelemetry
from otel.pipeline import Pipeline

LEDGER_CLOSE_SECONDS: Final = 3.0


class Parts(msgspec.Struct, frozen=True):
    """The parts of the application, for the server that stops it and for tests; under `app.state.parts`."""

    gateway: Gateway
    engine: AsyncEngine
    keys: ApiKeys
    database_file: DatabaseFile
    ledger: LedgerWriter
    providers: tuple[Provider, ...]
    states: ProviderStates
    probes: Probes
    cache: ResponseCache
    store_jobs: StoreJobs
    jobs: Jobs
    event_loop_watch: EventLoopWatch
    exposure: Exposure
    connections: Connections
    budgets: Budgets


def create_app(
    config: AppConfig,
    secrets: Secrets,
    telemetry: Pipeline,
    *,
    random_bytes: Callable[[int], bytes],
    clock: Clock | None = None,
) -> Litestar:
    """Return the application; raises `ConfigError` or `DatabaseOpenError` where a URL names a driver that is not installed.

    `random_bytes` seeds call ids and makes API keys: `secrets.token_bytes`, or a fake in tests.
    """
    clock = clock or SystemClock()
    parts = _build_parts(config, secrets, telemetry.recorder, clock, random_bytes)
    parts.store_jobs.observe(telemetry.observe)
    observe_providers(telemetry.observe, parts.states, parts.probes)
    observe_jobs(telemetry.observe, parts.jobs)
    observe_connections(telemetry.observe, parts.connections)
    observe_budgets(telemetry.observe, parts.budgets.plan_readings)
    # They only have to be unique; used where telemetry is off and a request has no trace id.
    request_ids = random.Random(random_bytes(32))  # noqa: S311
    app = build_app(
        [
            api_router(parts.gateway, config.server),
            health_router(_readiness(parts, telemetry), exposure=parts.exposure, clock=clock),
            monitoring_router(telemetry.exposition, exposure=parts.exposure),
            index_router(),
        ],
        recorder=telemetry.recorder,
        clock=clock,
        lifespan=_lifespan(parts),
        cors_origins=config.server.cors_origins,
        new_request_id=lambda: request_ids.randbytes(16).hex(),
    )
    app.state.parts = parts
    return app


def build_app(
    routers: Sequence[Router],
    *,
    recorder: Recorder,
    clock: Clock,
    lifespan: Callable[[Litestar], AbstractAsyncContextManager[None]],
    cors_origins: Sequence[str] = (),
    new_request_id: Callable[[], str] | None = None,
) -> Litestar:
    """Return an application of these routers, with the gateway's errors, measured as a whole."""
    app = Litestar(
        routers,
        exception_handlers=exception_handlers(),
        lifespan=[lifespan],
        logging_config=None,
        openapi_config=None,
        # `app/http/request_input.py` bounds bodies, in OpenAI's error shape.
        request_max_body_size=None,
    )
    routes = RouteTable(app.routes)
    wrapped = RequestTelemetry(
        ApiHeaders(
            DirectRoutes(PathBound(framework_of(app)), calls_of(routers)),
            CrossOrigin(cors_origins) if cors_origins else None,
            new_request_id,
        ),
        recorder,
        route_of=routes.route_of,
        is_ignored=routes.is_ignored,
        clock=clock.monotonic,
    )
    app.asgi_handler = cast("ASGIApp", wrapped)
    return app


def _build_parts(
    config: AppConfig, secrets: Secrets, recorder: Recorder, clock: Clock, random_bytes: Callable[[int], bytes]
) -> Parts:
    """Make the parts in the order of their dependencies; opens nothing."""
    engine = create_engine(secrets.database_url, recorder)
    keys = ApiKeys(engine, clock, random_bytes)
    ledger = LedgerWriter(engine, config.ledger, recorder, file=(file := database_file(engine.url)))
    secrets_of_provider = provider_secrets(config, secrets)
    providers = tuple(Provider(each, secrets_of_provider[each.name]) for each in config.providers)
    anomalies = AnomalyWatch(config, StoredDetectorState(engine, clock), clock, recorder)
    states = ProviderStates(config, clock, recorder, observers=anomalies.observers())
    probes = Probes(config, secrets_of_provider, states, clock=clock, recorder=recorder)
    cache: ResponseCache
    if secrets.cache_url is None:
        cache = MemoryResponseCache(config.cache.max_bytes, clock)
    else:
        cache = open_valkey_cache(secrets.cache_url, clock)
    most_descriptors = descriptor_limit()
    max_connections = max_client_connections(config, most_descriptors)
    # Call ids must be unique, not secret: one system call at the start instead of one per request.
    ids = random.Random(random_bytes(32))  # noqa: S311
    models = ModelTable(
        config.models,
        {provider.name: provider for provider in providers},
        catalogue_prices(config, clock.unix_ms() / 1_000),
    )
    budgets = open_budgets(config.plans, engine, clock, lambda: f"{ids.getrandbits(128):032x}", secrets.cache_url)
    gateway = Gateway(
        models=models,
        gate=states,
        keys=StoredKeyDirectory(keys, config.plans, clock, recorder, max_strangers=most_strangers(config.server)),
        limiter=RateLimiter(config.plans, clock),
        cache=cache,
        ledger=ledger,
        calls_in_flight=calls_in_flight(config.server, max_connections),
        clock=clock,
        new_call_id=lambda: ids.randbytes(16).hex(),
        offload=Offload(
            largest_bytes={"requests": config.server.max_body_bytes, "responses": models.largest_response_bytes}
        ),
        budgets=budgets,
    )
    store_jobs = StoreJobs(engine, config, clock, holder=random_bytes(16).hex())
    periodic: tuple[Job, ...] = (
        *store_jobs.jobs(),
        *budget_jobs(budgets, config.jobs),
        *provider_jobs(config.probes, states, probes),
        *anomalies.jobs(),
    )
    jobs = Jobs(periodic, clock=clock, rng=ids)
    watch = EventLoopWatch(recorder, clock.monotonic, config.jobs.event_loop_lag_seconds)
    return Parts(
        gateway,
        engine,
        keys,
        file,
        ledger,
        providers,
        states,
        probes,
        cache,
        store_jobs,
        jobs,
        watch,
        Exposure(secrets.monitoring_token, is_open=config.monitoring.open),
        Connections(max_connections, spare_descriptors(config, most_descriptors, max_connections)),
        budgets,
    )


def _lifespan(parts: Parts) -> Callable[[Litestar], AbstractAsyncContextManager[None]]:
    """Return the lifespan; the database opens first and closes last, so that the ledger can write until then."""

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        async def close_ledger() -> None:
            app.state.lost_ledger_rows = await parts.ledger.close(LEDGER_CLOSE_SECONDS)

        async with AsyncExitStack() as stack:
            stack.push_async_callback(close_database, parts.engine)
            await migrate(parts.engine)
            parts.database_file.remember()
            if isinstance(parts.cache, ValkeyResponseCache):
                stack.push_async_callback(parts.cache.close)
            stack.push_async_callback(parts.gateway.close)
            await read_spending(parts.budgets)
            parts.ledger.start()
            stack.push_async_callback(close_ledger)
            for provider in parts.providers:
                await provider.start()
                stack.push_async_callback(provider.close)
            await stack.enter_async_context(parts.event_loop_watch.running())
            await stack.enter_async_context(parts.store_jobs.publishing())
            await stack.enter_async_context(parts.jobs.running())
            yield

    return lifespan


def _readiness(parts: Parts, telemetry: Pipeline) -> Readiness:
    """Return how readiness checks each dependency."""

    async def check_store() -> None:
        await check_database(parts.engine, parts.database_file)

    async def is_cache_reachable() -> bool:
        return not isinstance(parts.cache, ValkeyResponseCache) or await parts.cache.is_available()

    def export_state() -> dict[str, object]:
        return {
            signal: {
                "queued_items": stats.queued_items,
                "exported": stats.exported,
                "retries": stats.retries,
                "dropped": sum(stats.dropped.values()),
            }
            for signal, stats in telemetry.delivery_stats().items()
        }

    return Readiness(
        check_database=check_store,
        is_cache_available=is_cache_reachable,
        cache_kind="server" if isinstance(parts.cache, ValkeyResponseCache) else "memory",
        providers=lambda: {name: provider_reading(state) for name, state in parts.states.items()},
        telemetry=export_state,
    )
