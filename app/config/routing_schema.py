"""The tables of providers, models and plans. The docstring of each key is its documentation."""

import msgspec

from app.config.pricing_schema import PriceConfig, PriceTierConfig


class ProviderConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One provider that speaks the OpenAI wire format."""

    name: str
    """The label `provider`; unique; `other` is reserved."""
    base_url: str
    """The URL below which the provider speaks the OpenAI wire format; ends before `/chat/completions`, may have a query."""
    api_key_env: str | None = None
    """The variable that holds the key that is sent to the provider; without it none is sent."""
    probe_path: str = "models"
    """The path below `base_url` that probes GET."""
    api_key_header: str = "authorization"
    """The header of the key: `Bearer KEY` in `authorization`, the bare key in any other."""
    headers: dict[str, str] = {}
    """Further headers of each request, without secrets."""
    headers_env: dict[str, str] = {}
    """Further headers whose values are in these variables."""
    proxy: str | None = None
    """The proxy's URL, or `off`; by default `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` decide."""
    proxy_env: str | None = None
    """The variable that holds the proxy's URL, where it has a password."""
    prices: str = "configuration"
    """`catalogue`: a route without a price of its own has that of the package `genai-prices`; `configuration`: it has none."""
    catalogue_provider: str | None = None
    """The catalogue's name of the provider, as in `openai`; by default the one that `base_url` belongs to."""
    trust_reported_cost: bool = False
    """Whether the cost that the provider reports beside its usage (`usage.cost` and the like) is the cost."""
    stream_options: bool = True
    """Whether the gateway adds `stream_options` to requests for a stream, so that it reports its usage."""
    pool_wait_seconds: float = 5.0
    """The timeout of the wait for a free connection."""
    connect_seconds: float = 2.0
    """The timeout of the connection: DNS, TCP and TLS."""
    first_byte_seconds: float = 30.0
    """The timeout until the first byte of a stream."""
    whole_answer_seconds: float = 600.0
    """The timeout of a response that is not streamed."""
    idle_seconds: float = 30.0
    """The timeout between two pieces of a stream."""
    total_seconds: float = 600.0
    """The timeout of a whole stream, without the time in which the client is slow."""
    latency_target_seconds: float = 2.0
    """A 95th percentile up to here is full health."""
    latency_limit_seconds: float = 20.0
    """A 95th percentile from here on is no health."""
    keepalive_seconds: float = 30.0
    """An idle connection is not used again after this time; keep it below the provider's own timeout; 0: each request has its own."""
    max_connections: int = 200
    """Connections to this provider at the same time."""
    max_response_bytes: int = 64 * 1024 * 1024
    """A larger response, or a larger event of a stream, is abandoned."""


class RouteConfig(PriceConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One provider that serves a model (a target), and its prices; without any the target is unpriced."""

    provider: str
    """The name of a provider."""
    upstream_model: str
    """The provider's own name for the model."""
    catalogue_model: str | None = None
    """The price catalogue's name for the model; by default `upstream_model`."""
    price_tiers: tuple[PriceTierConfig, ...] = ()
    """Further prices by the length of the input."""
    trust_reported_cost: bool | None = None
    """Whether the cost that the provider reports is the cost; by default as for the provider."""


class ModelConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One public model and the providers that serve it."""

    name: str
    """The name that clients request, and the label `model`; unique; `other` is reserved."""
    routes: tuple[RouteConfig, ...]
    """The providers that serve the model, in the order of failover."""
    operation: str = "chat"
    """`chat` or `embeddings`."""
    credit_multiplier: float = 1.0
    """The caller is charged the provider's price times this."""
    cache_ttl_seconds: float = 0.0
    """How long responses to deterministic requests are cached: embeddings, and chats with temperature 0 that are not streamed; 0 caches none."""


class PlanConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One plan: limits of each of its keys, and of all its keys together."""

    name: str
    """The name of the plan; unique; `other` is reserved."""
    key_requests_per_minute: int | None = None
    """Requests of each key of the plan; without it no limit."""
    key_tokens_per_minute: int | None = None
    """Tokens of each key of the plan; without it no limit."""
    plan_requests_per_minute: int | None = None
    """Requests of all keys of the plan together; without it no limit."""
    plan_tokens_per_minute: int | None = None
    """Tokens of all keys of the plan together; without it no limit."""
    key_usd_per_day: float | None = None
    """What calls of each key of the plan may cost per day (UTC), in US dollars; without it no budget."""
    key_usd_per_month: float | None = None
    """What calls of each key of the plan may cost per calendar month; without it no budget."""
    plan_usd_per_day: float | None = None
    """What calls of all keys of the plan together may cost per day; without it no budget."""
    plan_usd_per_month: float | None = None
    """What calls of all keys of the plan together may cost per calendar month; without it no budget."""
