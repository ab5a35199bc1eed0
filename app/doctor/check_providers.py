"""Checks each provider of the configuration: it responds, accepts the key, and lists the models that are routed to it.

The doctor queries them itself, from where it runs; what the gateway sees of them is in
`provider_availability` and `gatewayz_model_listed`.
"""

from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from app.doctor.check_gateway import shown
from app.doctor.facts import Facts, ProviderResponse
from app.doctor.findings import Check, Verdict, broken, ok, unknown

_REFUSED: Final = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
_NOT_THERE: Final = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.GONE})
_REDIRECTS: Final = range(300, 400)


def provider_checks(facts: Facts) -> tuple[Check[Facts], ...]:
    """Return the checks of the providers that were queried."""
    return tuple(check for provider in facts.providers for check in _checks(provider))


def _checks(provider: ProviderResponse) -> tuple[Check[Facts], ...]:
    def judge(check: Callable[[ProviderResponse], Verdict]) -> Callable[[Facts], Verdict]:
        return lambda _: check(provider)

    prefix = f"provider.{provider.name}"
    return (
        Check(name=f"{prefix}.reachable", judge=judge(_reachable)),
        Check(name=f"{prefix}.key", judge=judge(_key), needs=(f"{prefix}.reachable",)),
        Check(name=f"{prefix}.models", judge=judge(_models), needs=(f"{prefix}.reachable", f"{prefix}.key")),
    )


def _reachable(provider: ProviderResponse) -> Verdict:
    if provider.status is None:
        return broken(
            f"{provider.url}: {provider.trouble}",
            "correct its base_url, start it, or see what is between (a proxy, a firewall, a certificate)",
        )
    if provider.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return broken(f"{provider.url} returned {provider.status}", "the provider is down, or a proxy in front of it")
    return ok(f"{provider.url} returned {provider.status}")


def _key(provider: ProviderResponse) -> Verdict:
    variable = provider.key_variable
    if variable is not None and not provider.key_is_set:
        return unknown(
            f"the variable {variable} is not set where the doctor runs; the gateway does not start without it"
        )
    if provider.status not in _REFUSED:
        return ok("accepted" if variable is not None else "none is needed")
    if variable is None:
        return broken(
            f"{provider.status}: it requires a key",
            "api_key_env is missing: let it name the environment variable that holds the key",
        )
    return broken(f"{provider.status}: the key of {variable} is refused", f"put a valid key into {variable}")


def _models(provider: ProviderResponse) -> Verdict:
    if provider.status in _NOT_THERE or provider.status in _REDIRECTS:
        return broken(
            f"{provider.url} returned {provider.status}: no list of models",
            "base_url ends before /chat/completions, most often in /v1: correct it; or name another path by probe_path",
        )
    if provider.listed is None:
        return unknown(f"{provider.url} returned {provider.status}, with no list of models")
    missing = sorted(set(provider.models) - provider.listed)
    if missing:
        return broken(
            f"not listed: {shown(missing)}",
            "correct upstream_model of the routes, or drop them: the provider knows no such models, or hides them from this key",
        )
    return ok(f"all {len(provider.models)} that are routed to it are listed")
