"""The demo's providers, models, prices and plans, and the gateway's configuration file that holds them.

Prices are decimal text: the traffic program computes exact costs from them without the gateway's code.
"""

from typing import Final

import msgspec

CACHED_MODEL: Final = "aurora-mini"
EMBEDDING_MODEL: Final = "pebble-embed"
TRUSTED_MODEL: Final = "willow-9b"
"""Costs what its provider reports."""

EXAMPLE_MODEL: Final = "anthropic/claude-opus-4.5"
EXAMPLE_PROVIDER: Final = "openrouter"
"""What the example queries of the metrics reference ask for, so that they have a result in the demo as they are written."""

REAL_MODEL: Final = "smollm2-135m"
REAL_PROVIDER: Final = "local"
CLOSED_PROVIDER: Final = "gone"
"""A provider at an address where nothing listens."""

_REAL_KEEPALIVE_SECONDS: Final = 0.0
"""The real model's server closes the connection after each stream, unannounced: a request on a closed one costs a second attempt."""

_LEAST_PROBE_SECONDS: Final = 0.5
"""With less, a busy computer looks like a provider that is down."""

MAX_BODY_BYTES: Final = 256 * 1024


class RoutePrice(msgspec.Struct, frozen=True):
    """One route: the provider, and US dollars per million input and output tokens.

    `cached_usd` is for input from the provider's cache, None for the price of other input. `trusts_cost`: a cost that
    the provider reports counts instead.
    """

    provider: str
    input_usd: str
    output_usd: str
    cached_usd: str | None = None
    trusts_cost: bool = False


class DemoModel(msgspec.Struct, frozen=True, kw_only=True):
    """One public model with its routes in failover order."""

    name: str
    routes: tuple[RoutePrice, ...]
    operation: str = "chat"
    credit_multiplier: str = "1.25"
    cache_ttl_seconds: float = 0.0


class LimitedPlan(msgspec.Struct, frozen=True):
    """A plan with one limit, so that a 429 says which limit it was."""

    name: str
    limit_type: str
    per_minute: int


MODELS: Final = (
    DemoModel(
        name="aurora-large",
        routes=(RoutePrice("healthy", "2.5", "10", cached_usd="0.25"), RoutePrice("slow", "2.0", "8.5")),
    ),
    DemoModel(name=CACHED_MODEL, routes=(RoutePrice("healthy", "0.15", "0.6"),), cache_ttl_seconds=3_600.0),
    DemoModel(name="harbor-8b", routes=(RoutePrice("flaky", "0.055", "0.0825"), RoutePrice("healthy", "0.07", "0.11"))),
    DemoModel(
        name="lantern-70b",
        routes=(RoutePrice("rate_limited", "0.59", "0.79"), RoutePrice("slow", "0.9", "0.9")),
        credit_multiplier="1.1",
    ),
    DemoModel(name="meadow-24b", routes=(RoutePrice("dying", "0.1", "0.3"), RoutePrice("healthy", "0.12", "0.36"))),
    DemoModel(name="cobalt-code", routes=(RoutePrice("breaking", "0.3", "0.9"), RoutePrice("healthy", "0.4", "1.2"))),
    DemoModel(name="granite-3b", routes=(RoutePrice("stalling", "0.04", "0.1"), RoutePrice("healthy", "0.05", "0.1"))),
    DemoModel(name="basalt-3b", routes=(RoutePrice("slow", "0.05", "0.1"), RoutePrice("stalling", "0.04", "0.1"))),
    DemoModel(
        name="delta-1b", routes=(RoutePrice(CLOSED_PROVIDER, "0.01", "0.02"), RoutePrice("flaky", "0.02", "0.03"))
    ),
    DemoModel(name=TRUSTED_MODEL, routes=(RoutePrice("healthy", "0.2", "0.4", trusts_cost=True),)),
    DemoModel(name=EXAMPLE_MODEL, routes=(RoutePrice(EXAMPLE_PROVIDER, "5", "25"),)),
    DemoModel(
        name=EMBEDDING_MODEL,
        operation="embeddings",
        routes=(RoutePrice("healthy", "0.02", "0"), RoutePrice("flaky", "0.013", "0")),
    ),
)
REAL: Final = DemoModel(name=REAL_MODEL, routes=(RoutePrice(REAL_PROVIDER, "0.01", "0.03"),), credit_multiplier="1")

FREE_PLAN: Final = "demo"
VISITOR_PLAN: Final = "yours"
VISITOR_USD_PER_DAY: Final = 100.0
"""A budget that no one at the keyboard reaches, so that its gauges are there to be looked at."""
"""Of the key that the demo prints for its user."""

LIMITED_PLANS: Final = (
    LimitedPlan("few-requests", "key_requests", 5),
    LimitedPlan("few-tokens", "key_tokens", 8_000),
    LimitedPlan("team-requests", "plan_requests", 5),
    LimitedPlan("team-tokens", "plan_tokens", 8_000),
)


class GatewayFile(msgspec.Struct, frozen=True, kw_only=True):
    """What differs between two runs. `real_url` is None without the real model; times in seconds.

    `is_monitoring_open`: for a gateway that listens beyond loopback, in a network of its own.
    `with_breakers`: off, because the traffic program predicts which providers each request reaches, however often they failed before.
    `cadence`: shortens what the gateway does by the clock, and what counts as slow, so that a person sees a scenario in a minute or two;
    None leaves all of it at the gateway's defaults.
    """

    port: int
    database_path: str
    upstream_url: str
    closed_url: str
    real_url: str | None
    first_byte_seconds: float = 2.0
    idle_seconds: float = 1.5
    share_seconds: float = 1.0
    is_monitoring_open: bool = False
    with_breakers: bool = False
    cadence: float | None = None

    @property
    def models(self) -> tuple[DemoModel, ...]:
        """The models of this run."""
        return (*MODELS, REAL) if self.real_url is not None else MODELS

    def as_toml(self) -> str:
        """Return the gateway's configuration."""
        tables = [
            f"[server]\nport = {self.port}\nmax_body_bytes = {MAX_BODY_BYTES}\n",
            f"[monitoring]\nshare_seconds = {self.share_seconds}\nopen = {str(self.is_monitoring_open).lower()}\n",
            f"[breaker]\nenabled = {str(self.with_breakers).lower()}\n{_breaker(self.cadence)}",
            *_cadences(self.cadence),
            f"[database]\nurl = {_text(f'sqlite+aiosqlite:///{self.database_path}')}\n",
        ]
        names = dict.fromkeys(route.provider for model in self.models for route in model.routes)
        tables += [self._provider(name) for name in names]
        tables += [_model(model) for model in self.models]
        tables += [
            f"[[plans]]\nname = {_text(FREE_PLAN)}\n",
            f"[[plans]]\nname = {_text(VISITOR_PLAN)}\nplan_usd_per_day = {VISITOR_USD_PER_DAY}\n",
        ]
        tables += [
            f"[[plans]]\nname = {_text(plan.name)}\n{plan.limit_type}_per_minute = {plan.per_minute}\n"
            for plan in LIMITED_PLANS
        ]
        return "\n".join(tables)

    def _provider(self, name: str) -> str:
        url = {REAL_PROVIDER: self.real_url, CLOSED_PROVIDER: self.closed_url}.get(
            name
        ) or f"{self.upstream_url}/{name}"
        # One provider is impatient, and no response is expected of it: a slow computer changes no outcome.
        impatient = (
            f"first_byte_seconds = {self.first_byte_seconds}\nwhole_answer_seconds = {self.first_byte_seconds}\n"
            f"idle_seconds = {self.idle_seconds}\n"
        )
        times = impatient if name == "stalling" else "first_byte_seconds = 120.0\nidle_seconds = 120.0\n"
        if name == REAL_PROVIDER:
            times += f"keepalive_seconds = {_REAL_KEEPALIVE_SECONDS}\n"
        if self.cadence is not None:
            times += f"latency_target_seconds = {1.5 * self.cadence}\nlatency_limit_seconds = {6.0 * self.cadence}\n"
        return f"[[providers]]\nname = {_text(name)}\nbase_url = {_text(url + '/v1')}\n{times}"


def _breaker(cadence: float | None) -> str:
    """Return the breaker's settings: more failures in a row than a provider that works now and then has by chance."""
    if cadence is None:
        return ""
    return (
        f"consecutive_failures = 10\nminimum_attempts = 40\nwindow_seconds = {30.0 * cadence}\n"
        f"open_seconds = {6.0 * cadence}\nmax_open_seconds = {12.0 * cadence}\n"
    )


def _cadences(cadence: float | None) -> tuple[str, ...]:
    if cadence is None:
        return ()
    probe_seconds = max(2.0 * cadence, _LEAST_PROBE_SECONDS)
    return (
        (
            f"[probes]\nprovider_interval_seconds = {probe_seconds}\nmodel_interval_seconds = {10.0 * cadence}\n"
            f"timeout_seconds = {probe_seconds}\n"
        ),
        f"[jobs]\nbusiness_seconds = {2.0 * cadence}\nmodel_usage_seconds = {2.0 * cadence}\n",
    )


def _model(model: DemoModel) -> str:
    routes = ",\n".join(
        f"  {{ provider = {_text(route.provider)}, upstream_model = {_text(upstream_name(model, route))},"
        f" input_usd_per_million = {float(route.input_usd)}, output_usd_per_million = {float(route.output_usd)}"
        f"{_cost(route)} }}"
        for route in model.routes
    )
    return (
        f"[[models]]\nname = {_text(model.name)}\noperation = {_text(model.operation)}\n"
        f"credit_multiplier = {float(model.credit_multiplier)}\ncache_ttl_seconds = {model.cache_ttl_seconds}\n"
        f"routes = [\n{routes},\n]\n"
    )


def _cost(route: RoutePrice) -> str:
    cached = "" if route.cached_usd is None else f", cached_input_usd_per_million = {float(route.cached_usd)}"
    return cached + (", trust_reported_cost = true" if route.trusts_cost else "")


def upstream_name(model: DemoModel, route: RoutePrice) -> str:
    """Return the provider's own name for a model."""
    return f"{route.provider}/{model.name}"


def upstream_names(provider: str) -> tuple[str, ...]:
    """Return the names under which a provider has the demo's models."""
    return tuple(
        upstream_name(model, route) for model in MODELS for route in model.routes if route.provider == provider
    )


def _text(value: str) -> str:
    """Write a TOML string; JSON's escapes are TOML's."""
    return msgspec.json.encode(value).decode()
