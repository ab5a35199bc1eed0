"""Checks of providers, models and plans: names, URLs, ranges, and the references between them."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from app.config.pricing_checks import check_charges, check_prices
from app.config.rules import (
    MAX_AMOUNT,
    MAX_MULTIPLIER,
    TAG_NAME,
    Finding,
    check_amount,
    check_count,
    check_name,
    check_seconds,
    check_variable,
    has_usable_port,
    one_of,
)
from app.config.schema import ModelConfig, PlanConfig, ProviderConfig, RouteConfig
from otel.catalogue.semconv import OTHER

_OPERATION_PATHS: Final = ("/chat/completions", "/completions", "/embeddings", "/responses", "/models")
_HEADER_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")
_SECRET_NAME: Final = re.compile(
    r"authorization|cookie|secret|token|passw|(?:^|[-_])(?:key|apikey|sig|signature)$", re.IGNORECASE
)
_OWN_HEADERS: Final = frozenset(
    {"host", "content-length", "content-type", "transfer-encoding", "connection", "upgrade", "te", "trailer", "expect",
     "accept-encoding", "traceparent", "tracestate"}
)  # fmt: skip

_MAX_SHOWN_CHARS: Final = 60

OPERATIONS: Final = ("chat", "embeddings")
_MONTH_DAYS: Final = 31
_MAX_TAGS: Final = 8
_NO_TAGS: Final = frozenset({"authorization", "proxy-authorization", "cookie", "x-api-key", "api-key"})
PRICE_SOURCES: Final = ("configuration", "catalogue")


def check_names(section: str, entries: Sequence[ProviderConfig | ModelConfig | PlanConfig]) -> Iterator[Finding]:
    """Check the names of one section: well formed, not reserved, each used once."""
    first: dict[str, int] = {}
    for index, entry in enumerate(entries):
        key_path = f"{section}[{index}].name"
        yield from check_name(key_path, entry.name)
        if entry.name == OTHER:
            yield Finding(key_path, repr(OTHER), f"any name but {OTHER!r}, which stands for what is not configured")
        if entry.name in first:
            yield Finding(
                key_path, f"{entry.name!r}, as {section}[{first[entry.name]}].name", "a name that is used once"
            )
        first[entry.name] = index


def check_provider(key_path: str, provider: ProviderConfig) -> Iterator[Finding]:
    """Check one provider."""
    yield from _base_url(f"{key_path}.base_url", provider.base_url)
    yield from check_variable(f"{key_path}.api_key_env", provider.api_key_env)
    if provider.prices not in PRICE_SOURCES:
        yield Finding(f"{key_path}.prices", repr(provider.prices), one_of(PRICE_SOURCES))
    if provider.catalogue_provider is not None:
        yield from check_name(f"{key_path}.catalogue_provider", provider.catalogue_provider)
    yield from _headers(key_path, provider)
    yield from _proxy(key_path, provider)
    if not re.fullmatch(r"[A-Za-z0-9._~-][A-Za-z0-9._~/-]{0,199}", provider.probe_path):
        yield Finding(f"{key_path}.probe_path", repr(provider.probe_path), "a path below base_url, as in models")
    for key, seconds in (
        ("pool_wait_seconds", provider.pool_wait_seconds),
        ("connect_seconds", provider.connect_seconds),
        ("first_byte_seconds", provider.first_byte_seconds),
        ("whole_answer_seconds", provider.whole_answer_seconds),
        ("idle_seconds", provider.idle_seconds),
        ("total_seconds", provider.total_seconds),
        ("latency_target_seconds", provider.latency_target_seconds),
        ("latency_limit_seconds", provider.latency_limit_seconds),
    ):
        yield from check_seconds(f"{key_path}.{key}", seconds)
    yield from check_seconds(f"{key_path}.keepalive_seconds", provider.keepalive_seconds, zero=True)
    if provider.latency_limit_seconds <= provider.latency_target_seconds:
        yield Finding(
            f"{key_path}.latency_limit_seconds",
            repr(provider.latency_limit_seconds),
            f"more than latency_target_seconds ({provider.latency_target_seconds})",
        )
    yield from check_count(f"{key_path}.max_connections", provider.max_connections)
    yield from check_count(f"{key_path}.max_response_bytes", provider.max_response_bytes)


def _base_url(key_path: str, url: str) -> Iterator[Finding]:
    allowed = "http:// or https://, a host, an optional port and path, as in https://api.example.com/v1"
    if not url.isprintable() or any(char.isspace() for char in url):
        yield Finding(key_path, "a URL with blanks or control characters", allowed)
        return
    try:
        parts = urlsplit(url)
    except ValueError:
        yield Finding(key_path, "not a URL", allowed)
        return
    if parts.username is not None or parts.password is not None:
        yield Finding(key_path, "a URL with credentials", "a URL without; api_key_env names the variable with the key")
    elif parts.scheme not in {"http", "https"} or not parts.hostname:
        yield Finding(key_path, "a URL without http(s) scheme or host", allowed)
    elif not has_usable_port(url):
        yield Finding(key_path, "a URL whose port is not a number from 1 to 65535", allowed)
    elif parts.fragment:
        yield Finding(key_path, "a URL with a fragment", allowed)
    elif any(_SECRET_NAME.search(name) for name, _ in parse_qsl(parts.query, keep_blank_values=True)):
        yield Finding(
            key_path, "a URL with a key in its query", "a query without secrets; api_key_env names the variable"
        )
    elif ending := next((each for each in _OPERATION_PATHS if parts.path.rstrip("/").lower().endswith(each)), None):
        yield Finding(key_path, f"a URL that ends in {ending}", f"the part before {ending}: the gateway adds it")


def is_proxy_url(url: str) -> bool:
    """Whether a URL can be a proxy's."""
    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _proxy(key_path: str, provider: ProviderConfig) -> Iterator[Finding]:
    yield from check_variable(f"{key_path}.proxy_env", provider.proxy_env)
    if provider.proxy is None or provider.proxy == "off":
        return
    if not is_proxy_url(provider.proxy) or "@" in provider.proxy:
        yield Finding(
            f"{key_path}.proxy",
            "not a proxy",
            'an http:// URL with a host, a port from 1 to 65535 and no credentials, or "off"; proxy_env names the variable',
        )


def _headers(key_path: str, provider: ProviderConfig) -> Iterator[Finding]:
    """Names of header fields, values that fit into one, and nothing that the gateway itself writes."""
    yield from _header_name(f"{key_path}.api_key_header", provider.api_key_header)
    for table, headers in (("headers", provider.headers), ("headers_env", provider.headers_env)):
        for name, value in headers.items():
            table_path = f"{key_path}.{table}"
            if wrong := next(_header_name(table_path, name), None):
                yield wrong
            elif table == "headers_env":
                yield from check_variable(f"{table_path}.{name}", value)
            elif not value.isascii() or not value.isprintable():
                yield Finding(f"{table_path}.{name}", "characters that no header can hold", "printable ASCII")
            elif _SECRET_NAME.search(name):
                yield Finding(
                    f"{table_path}.{name}", "a header that holds a secret", "the name in headers_env, with the variable"
                )


def _header_name(key_path: str, name: str) -> Iterator[Finding]:
    shown = repr(name[:_MAX_SHOWN_CHARS])
    if not _HEADER_NAME.fullmatch(name):
        allowed = "the name of a header, as in x-title: 1 to 64 letters, digits, - and _, no blank"
        yield Finding(key_path, f"{shown} cannot be the name of a header", allowed)
    elif name.lower() in _OWN_HEADERS:
        yield Finding(key_path, f"{shown}, which the gateway writes itself", "any other header")


def check_model(key_path: str, model: ModelConfig, providers: Sequence[str]) -> Iterator[Finding]:
    """Check one model and its routes; `providers` are the configured names."""
    if model.operation not in OPERATIONS:
        yield Finding(f"{key_path}.operation", repr(model.operation), one_of(OPERATIONS))
    yield from check_amount(f"{key_path}.credit_multiplier", model.credit_multiplier, MAX_MULTIPLIER)
    yield from check_seconds(f"{key_path}.cache_ttl_seconds", model.cache_ttl_seconds, zero=True)
    if not model.routes:
        yield Finding(f"{key_path}.routes", "an empty array", "at least one route")
    seen: set[tuple[str, str]] = set()
    for index, route in enumerate(model.routes):
        yield from _route(f"{key_path}.routes[{index}]", route, providers)
        if (route.provider, route.upstream_model) in seen:
            yield Finding(
                f"{key_path}.routes[{index}]", "the same provider and upstream_model again", "each route once"
            )
        seen.add((route.provider, route.upstream_model))
    yield from check_charges(key_path, model)


def _route(key_path: str, route: RouteConfig, providers: Sequence[str]) -> Iterator[Finding]:
    if route.provider not in providers:
        yield Finding(f"{key_path}.provider", f"{route.provider!r} is not a configured provider", one_of(providers))
    yield from check_name(f"{key_path}.upstream_model", route.upstream_model)
    if route.catalogue_model is not None:
        yield from check_name(f"{key_path}.catalogue_model", route.catalogue_model)
    yield from check_prices(key_path, route)


def check_plan(key_path: str, plan: PlanConfig, ledger_days: int) -> Iterator[Finding]:
    """Check one plan: a limit that is set is at least 1, and the ledger keeps a month where that has a budget."""
    for key in ("key_usd_per_day", "key_usd_per_month", "plan_usd_per_day", "plan_usd_per_month"):
        usd = getattr(plan, key)
        if usd is not None and not 0 < usd <= MAX_AMOUNT:
            yield Finding(
                f"{key_path}.{key}",
                repr(usd),
                f"more than 0, at most {MAX_AMOUNT:,.0f}; leave the key out for no budget",
            )
        if usd is not None and key.endswith("month") and ledger_days < _MONTH_DAYS:
            yield Finding(
                f"{key_path}.{key}",
                f"set, and retention.ledger_days is {ledger_days}",
                f"retention.ledger_days of {_MONTH_DAYS} or more: spending comes from the ledger after a restart",
            )
    for key, limit in (
        ("key_requests_per_minute", plan.key_requests_per_minute),
        ("key_tokens_per_minute", plan.key_tokens_per_minute),
        ("plan_requests_per_minute", plan.plan_requests_per_minute),
        ("plan_tokens_per_minute", plan.plan_tokens_per_minute),
    ):
        if limit is not None:
            yield from check_count(f"{key_path}.{key}", limit, "1 or more; leave the key out for no limit")


def check_tag_headers(headers: Mapping[str, str]) -> Iterator[Finding]:
    """Check the tags of calls: few, with plain names, each from a header of its own that holds no secret."""
    key_path = "server.tag_headers"
    if len(headers) > _MAX_TAGS:
        yield Finding(key_path, f"{len(headers)} tags", f"at most {_MAX_TAGS}")
    for name, header in headers.items():
        if not TAG_NAME.fullmatch(name):
            yield Finding(
                key_path, f"the name {name[:_MAX_SHOWN_CHARS]!r}", "1 to 32 of a-z, 0-9 and _, a letter first"
            )
        elif not _HEADER_NAME.fullmatch(header) or header.lower() in _NO_TAGS:
            yield Finding(
                f"{key_path}.{name}",
                repr(header[:_MAX_SHOWN_CHARS]),
                'the name of a header as in "x-team"; none with secrets',
            )
    if len({header.lower() for header in headers.values()}) < len(headers):
        yield Finding(key_path, "one header for two tags", "a header for each")
