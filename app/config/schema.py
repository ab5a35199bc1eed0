"""The sections of the TOML file as frozen structs.

The docstring of each key is its documentation: `docs/configuration.md` and `gatewayz.schema.json` are
generated from it. The file holds no secret: keys that end in `_env` name environment variables.
OpenTelemetry's own settings are the `OTEL_*` variables (`otel/config/environ.py`).
"""

from typing import Literal

import msgspec

from app.config.routing_schema import ModelConfig, PlanConfig, ProviderConfig, RouteConfig

__all__ = [
    "AnomaliesConfig",
    "AppConfig",
    "BreakerConfig",
    "CacheConfig",
    "DatabaseConfig",
    "DoctorSection",
    "JobsConfig",
    "LedgerConfig",
    "ModelConfig",
    "MonitoringConfig",
    "PlanConfig",
    "ProbesConfig",
    "ProviderConfig",
    "RetentionConfig",
    "RouteConfig",
    "ServerConfig",
    "TelemetrySection",
]


class ServerConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the gateway listens, and what it admits."""

    host: str = "127.0.0.1"
    """The address to listen on; `0.0.0.0` or `::` for all."""
    port: int = 8000
    """The port to listen on; 0 takes any free port and prints it."""
    max_body_bytes: int = 10 * 1024 * 1024
    """A larger request body is refused with 413."""
    max_header_bytes: int = 64 * 1024
    """Larger request headers are refused with 431."""
    max_concurrent_requests: int = 1_000
    """More requests at the same time are refused with 503."""
    max_connections: int | None = None
    """Open client connections; by default what the limit of file descriptors allows, at most 4096."""
    max_concurrent_requests_per_key: int | None = None
    """More requests of one key at the same time are refused with 429; by default one half of all."""
    max_body_bytes_in_flight: int = 128 * 1024 * 1024
    """Request bodies in memory or on their way, of all requests; above it 503."""
    max_body_bytes_in_flight_per_key: int | None = None
    """Request bodies in memory or on their way, of one key; above it 429; by default one half of all."""
    receive_head_seconds: float = 10.0
    """How long a client may take to send a request's head; then 408."""
    receive_body_seconds: float = 120.0
    """How long a client may take to send a request's body; then 408."""
    send_stall_seconds: float = 60.0
    """A client that takes nothing of its response for so long is disconnected."""
    keepalive_comment_seconds: float = 15.0
    """How often a stream whose provider has not begun gets a comment; 0 sends none."""
    shutdown_grace_seconds: float = 10.0
    """How long requests and their responses may continue after SIGTERM."""
    cors_origins: tuple[str, ...] | Literal["*"] = ()
    """The pages that may call `/v1` from a browser, or `*` for all; an empty list turns CORS off."""
    tag_headers: dict[str, str] = {}
    """Tags of calls in the ledger, the log line and `gatewayz usage --by tag:NAME`: name and request header of each; at most 8."""


class MonitoringConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The monitoring endpoints. Without a token they are open on loopback only, unless `open` is set."""

    token_env: str | None = None
    """The variable that holds the bearer token of the monitoring endpoints."""
    open: bool = False
    """Whether monitoring beyond loopback is open without a token."""
    share_seconds: float = 1.0
    """How long one collection serves every scrape and endpoint."""


class TelemetrySection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The telemetry settings of the file; all others are `OTEL_*` variables."""

    enabled: bool = True
    """Whether there are metrics, traces and logs at all."""
    app_name: str = "gatewayz"
    """The label `app_name` of the HTTP metrics."""
    buffer_bytes: int = 64 * 1024 * 1024
    """Telemetry that waits for the OTLP endpoint; above it the oldest is dropped and counted."""
    spool_folder: str | None = None
    """The folder where telemetry that shutdown cannot deliver waits for the next start; without it that telemetry is lost."""
    semconv_opt_in: tuple[Literal["http", "database", "gen_ai_latest_experimental"], ...] = ()
    """Metrics under the names of OpenTelemetry's semantic conventions, beside the documented ones; as with `OTEL_SEMCONV_STABILITY_OPT_IN`."""
    export_failed_traces: bool = True
    """Whether the trace of a failed request is exported although it is not sampled (flag 00 of its caller, or a ratio)."""
    export_slower_than_seconds: float = 0.0
    """The trace of a request that takes longer is exported although it is not sampled; 0 leaves that to the sampler."""
    shutdown_seconds: float = 4.0
    """The deadline of the last push at shutdown."""


class DatabaseConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The database of API keys and of the ledger."""

    url: str = "sqlite+aiosqlite:///gatewayz.db"
    """The SQLAlchemy URL: `sqlite+aiosqlite:///…` or `postgresql+asyncpg://…`."""
    url_env: str | None = None
    """The variable that holds the URL, where it has a password."""


class CacheConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The response cache: in this process, or in Valkey or Redis."""

    url: str | None = None
    """The URL of Valkey or Redis; without one the cache is in this process."""
    url_env: str | None = None
    """The variable that holds the URL, where it has a password."""
    max_bytes: int = 64 * 1024 * 1024
    """The bound of the cache in this process; a server has its own `maxmemory`."""


class LedgerConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the ledger's rows, one per call, are committed in groups."""

    commit_seconds: float = 0.25
    """Rows are committed at the latest after this time."""
    commit_rows: int = 500
    """Rows are committed when this many wait; also the most in one transaction."""
    max_queued_rows: int = 100_000
    """Rows that wait while the database is unavailable; beyond it new rows are dropped and counted."""


class BreakerConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The circuit breaker of each provider, and of each model at a provider."""

    enabled: bool = True
    """Whether circuit breakers open at all."""
    consecutive_failures: int = 5
    """The breaker opens after this many failures in a row."""
    failure_ratio: float = 0.5
    """The breaker opens when this share of the recent attempts failed."""
    minimum_attempts: int = 20
    """The fewest recent attempts that `failure_ratio` judges."""
    window_seconds: float = 30.0
    """The time that counts as recent."""
    open_seconds: float = 15.0
    """How long the breaker stays open the first time; twice as long each time it opens again."""
    max_open_seconds: float = 240.0
    """The longest that the breaker stays open."""
    half_open_calls: int = 2
    """How many calls at once may test whether the provider is healthy again."""
    max_pause_seconds: float = 60.0
    """The longest pause of a model at a provider that a rate limit's `Retry-After` can cause."""


class ProbesConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The gateway's own small requests to its providers."""

    enabled: bool = True
    """Whether the gateway probes its providers."""
    provider_interval_seconds: float = 30.0
    """How often each provider is probed."""
    model_interval_seconds: float = 300.0
    """How often each provider's list of models is read."""
    timeout_seconds: float = 5.0
    """The timeout of one probe, from the connection to the end of the response."""


class JobsConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How often periodic jobs run."""

    business_seconds: float = 60.0
    """How often API keys, subscriptions and trials are counted."""
    model_usage_seconds: float = 60.0
    """How often each model's uptime and tokens are summed."""
    cost_rollup_seconds: float = 3_600.0
    """How often finished hours and days of the ledger are summed into the tables `hourly_costs` and `daily_usage`."""
    retention_seconds: float = 3_600.0
    """How often old ledger rows are deleted."""
    lease_seconds: float = 15.0
    """How long an instance that died still counts as the one that publishes the database's gauges."""
    event_loop_lag_seconds: float = 0.1
    """How often the lag of the event loop is measured."""


class RetentionConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long single calls are kept."""

    ledger_days: int = 90
    """Single calls older than this are deleted; their hourly sums stay."""


class AnomaliesConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How large a deviation from the recent normal counts, and how sure the detector must be (`docs/anomalies.md`)."""

    enabled: bool = True
    """Whether anomalies are detected."""
    interval_seconds: float = 60.0
    """How often whole minutes are judged."""
    latency_factor: float = 1.75
    """Times the usual duration for as many tokens."""
    error_rise: float = 0.05
    """The failed share of attempts above the usual: 0.05 is five points."""
    traffic_factor: float = 4.0
    """Times the usual attempts per minute, or one part of it."""
    token_factor: float = 2.0
    """Times the usual tokens per attempt, or one part of it."""
    significance: float = 5.0
    """How sure the detector must be, in standard deviations."""
    min_attempts: int = 10
    """Fewer attempts are not judged by duration and tokens."""
    max_episode_minutes: int = 60
    """What lasts longer is the new normal."""


class DoctorSection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where `gatewayz doctor` finds the servers of the pipeline; its options win."""

    collector_health: str = "http://127.0.0.1:13133"
    """The Collector's health endpoint, or `off`."""
    collector_metrics: str = "http://127.0.0.1:8888"
    """The Collector's own metrics, or `off`."""
    prometheus: str = "http://127.0.0.1:9090"
    """Prometheus, or `off`."""
    loki: str = "http://127.0.0.1:3100"
    """Loki, or `off`."""
    tempo: str = "http://127.0.0.1:3200"
    """Tempo, or `off`."""
    alertmanager: str = "http://127.0.0.1:9093"
    """Alertmanager, or `off`."""
    grafana: str = "http://127.0.0.1:3000"
    """Grafana, or `off`."""


class AppConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file."""

    server: ServerConfig = ServerConfig()
    monitoring: MonitoringConfig = MonitoringConfig()
    telemetry: TelemetrySection = TelemetrySection()
    database: DatabaseConfig = DatabaseConfig()
    cache: CacheConfig = CacheConfig()
    ledger: LedgerConfig = LedgerConfig()
    jobs: JobsConfig = JobsConfig()
    retention: RetentionConfig = RetentionConfig()
    anomalies: AnomaliesConfig = AnomaliesConfig()
    breaker: BreakerConfig = BreakerConfig()
    probes: ProbesConfig = ProbesConfig()
    doctor: DoctorSection = DoctorSection()
    providers: tuple[ProviderConfig, ...] = ()
    models: tuple[ModelConfig, ...] = ()
    plans: tuple[PlanConfig, ...] = (PlanConfig(name="free"),)

    @property
    def routes(self) -> tuple[tuple[str, str], ...]:
        """Each provider of a model, as provider and public model, in the order of the file."""
        return tuple((route.provider, model.name) for model in self.models for route in model.routes)
