"""CONFIG: the one TOML file of the gateway as frozen structs; a bad file is one line that names the key.

Secrets are never in the file: it names environment variables. OpenTelemetry's own settings are the
`OTEL_*` variables (`otel/config/environ.py`), not keys of this file.
"""

from typing import Literal

import msgspec


class ServerConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the gateway listens and what it admits. Sizes in bytes, times in seconds.

    A share per key that is None is one half of what there is.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    max_body_bytes: int = 10 * 1024 * 1024
    max_header_bytes: int = 64 * 1024
    max_concurrent_requests: int = 1_000
    max_connections: int | None = None
    max_concurrent_requests_per_key: int | None = None
    max_body_bytes_in_flight: int = 256 * 1024 * 1024
    max_body_bytes_in_flight_per_key: int | None = None
    receive_head_seconds: float = 10.0
    receive_body_seconds: float = 120.0
    send_stall_seconds: float = 60.0
    keepalive_comment_seconds: float = 15.0
    shutdown_grace_seconds: float = 10.0
    cors_origins: tuple[str, ...] | Literal["*"] = ()


class MonitoringConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The monitoring endpoints. `token_env` names the variable with the bearer token.

    Without a token they are open on loopback only, unless `open` is set.
    """

    token_env: str | None = None
    open: bool = False
    share_seconds: float = 1.0


class TelemetrySection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What of telemetry is ours to set; all else is `OTEL_*`. `enabled = false` is the baseline of the benchmarks."""

    enabled: bool = True
    app_name: str = "gatewayz"
    buffer_bytes: int = 64 * 1024 * 1024
    spool_folder: str | None = None
    shutdown_seconds: float = 4.0


class DatabaseConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """SQLAlchemy URL (`sqlite+aiosqlite:///…` or `postgresql+asyncpg://…`), or the variable that holds it."""

    url: str = "sqlite+aiosqlite:///gatewayz.db"
    url_env: str | None = None


class CacheConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The response cache: in process by default, or Valkey/Redis by URL."""

    url: str | None = None
    url_env: str | None = None
    max_bytes: int = 64 * 1024 * 1024


class LedgerConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Group commit of the ledger: at the latest after `commit_seconds`, at most `max_queued_rows` waiting."""

    commit_seconds: float = 0.25
    commit_rows: int = 500
    max_queued_rows: int = 100_000


class BreakerConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The circuit breaker that each provider and each model at a provider has. `enabled = false` keeps all of them closed.

    It opens after `consecutive_failures`, or when of at least `minimum_attempts` in the last `window_seconds`
    the share `failure_ratio` failed. It stays open for `open_seconds`, and each time it opens again for twice
    as long, up to `max_open_seconds`; then it admits `half_open_calls` at once. A rate limit's `Retry-After`
    skips the model at that provider for as long as it says, up to `max_pause_seconds`.
    """

    enabled: bool = True
    consecutive_failures: int = 5
    failure_ratio: float = 0.5
    minimum_attempts: int = 20
    window_seconds: float = 30.0
    open_seconds: float = 15.0
    max_open_seconds: float = 240.0
    half_open_calls: int = 2
    max_pause_seconds: float = 60.0


class ProbesConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The gateway's own small calls to its providers: is it there (`provider_`), does it list its models (`model_`)."""

    enabled: bool = True
    provider_interval_seconds: float = 30.0
    model_interval_seconds: float = 300.0
    timeout_seconds: float = 5.0


class JobsConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How often the gateway does what it does by the clock, in seconds.

    `lease_seconds`: how long an instance that died still counts as the one that publishes what the database says.
    """

    business_seconds: float = 60.0
    model_usage_seconds: float = 60.0
    cost_rollup_seconds: float = 3_600.0
    retention_seconds: float = 3_600.0
    lease_seconds: float = 15.0
    event_loop_lag_seconds: float = 0.1


class RetentionConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long single calls are kept; their hourly sums stay."""

    ledger_days: int = 90


class ProviderConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One provider that speaks the OpenAI wire format below `base_url` (which ends before `/chat/completions`, and may have a query).

    `probe_path`: what probes GET below `base_url`; the list of models costs nothing anywhere. `keepalive_seconds`: an idle connection is
    not used again after so long; shorter than the provider's own timeout, or a request may meet it being closed.
    """

    name: str
    base_url: str
    api_key_env: str | None = None
    probe_path: str = "models"
    api_key_header: str = "authorization"
    headers: dict[str, str] = {}
    headers_env: dict[str, str] = {}
    proxy: str | None = None
    proxy_env: str | None = None
    stream_options: bool = True
    pool_wait_seconds: float = 5.0
    connect_seconds: float = 2.0
    first_byte_seconds: float = 30.0
    whole_answer_seconds: float = 600.0
    idle_seconds: float = 30.0
    total_seconds: float = 600.0
    latency_target_seconds: float = 2.0
    latency_limit_seconds: float = 20.0
    keepalive_seconds: float = 30.0
    max_connections: int = 200
    max_response_bytes: int = 64 * 1024 * 1024


class RouteConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One provider that serves a model: its upstream name, and what the provider charges per million tokens in USD.

    `cached_input_usd_per_million`: of input that the provider had in its cache; None is the price of all input.
    """

    provider: str
    upstream_model: str
    input_usd_per_million: float = 0.0
    cached_input_usd_per_million: float | None = None
    output_usd_per_million: float = 0.0


class ModelConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One public model and the providers that serve it, in the order of fail-over.

    `credit_multiplier`: what the caller is charged, as a multiple of the provider's price.
    `cache_ttl_seconds`: above 0, answers to deterministic requests (embeddings; chats with `temperature` 0 that are not streamed) are
    kept that long.
    """

    name: str
    routes: tuple[RouteConfig, ...]
    operation: str = "chat"
    credit_multiplier: float = 1.0
    cache_ttl_seconds: float = 0.0


class PlanConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One plan: limits for each of its keys, and for all of its keys together; None is unlimited."""

    name: str
    key_requests_per_minute: int | None = None
    key_tokens_per_minute: int | None = None
    plan_requests_per_minute: int | None = None
    plan_tokens_per_minute: int | None = None


class AnomaliesConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When something is an anomaly: how large a change counts, and how sure we must be (`app/anomaly/`).

    `latency_factor`: times the usual duration for as many tokens. `error_rise`: share of attempts above the usual, 0 to 1.
    `traffic_factor`, `token_factor`: times or one part of the usual attempts per minute, or tokens per attempt. `significance`: standard
    deviations. `min_attempts`: fewer say nothing about durations and tokens. After `max_episode_minutes` the unusual is the normal.
    """

    enabled: bool = True
    interval_seconds: float = 60.0
    latency_factor: float = 1.75
    error_rise: float = 0.05
    traffic_factor: float = 4.0
    token_factor: float = 2.0
    significance: float = 5.0
    min_attempts: int = 10
    max_episode_minutes: int = 60


class DoctorSection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where `python -m app doctor` finds the servers of the pipeline; `off` stands for one that is not used. Its flags win."""

    collector_health: str = "http://127.0.0.1:13133"
    collector_metrics: str = "http://127.0.0.1:8888"
    prometheus: str = "http://127.0.0.1:9090"
    loki: str = "http://127.0.0.1:3100"
    tempo: str = "http://127.0.0.1:3200"
    alertmanager: str = "http://127.0.0.1:9093"
    grafana: str = "http://127.0.0.1:3000"


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
