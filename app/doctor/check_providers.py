"""Checks each provider of the configuration: it responds, accepts the key, and lists the models that are routed to it.

The doctor queries them itself, from where it runs; what the gateway sees of them is in
`provider_availability` and `gatewayz_model_listed`.
"""

from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Final

from app.doctor.check_gateway import shown
from app.doctor.facts import Facts, ProviderResponse
from app.doctor.findings import Check, State, Verdict, broken, ok, unknown

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
    if provider.unset_proxy is not None:
        return _unset((provider.unset_proxy,))
    if provider.status is None:
        return broken(
            f"GET {provider.url} {provider.trouble}",
            "correct its base_url, start it, or see what is between (a proxy, a firewall, a certificate)",
        )
    if provider.status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        return broken(
            f"{provider.url} returned {provider.status}: the proxy requires credentials",
            "proxy_env names the variable of a proxy's URL with credentials: correct its value",
        )
    if provider.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return broken(f"{provider.url} returned {provider.status}", "the provider is down, or a proxy in front of it")
    return ok(f"{provider.url} returned {provider.status}")


def _key(provider: ProviderResponse) -> Verdict:
    variables = " or ".join(provider.key_variables)
    if provider.unset_variables:
        return _unset(provider.unset_variables)
    if provider.status is None or provider.status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        return unknown("there is no response to judge by")
    if provider.status not in _REFUSED:
        return ok("accepted" if variables else "none is needed")
    if not variables:
        return broken(
            f"{provider.status}: it requires a key",
            "api_key_env is missing: let it name the environment variable that holds the key",
        )
    return broken(f"{provider.status}: the key of {variables} is refused", f"put a valid key into {variables}")


def _models(provider: ProviderResponse) -> Verdict:
    verdict = _list(provider)
    # Without all of the key and the headers, what comes may be another list than the gateway's, or none.
    return unknown(verdict.found) if verdict.state is State.BROKEN and provider.unset_variables else verdict


def _list(provider: ProviderResponse) -> Verdict:
    if provider.status is None:
        return unknown("there is no response to judge by")
    if provider.status in _NOT_THERE or provider.status in _REDIRECTS:
        return broken(
            f"{provider.url} returned {provider.status}: no list of models",
            "base_url ends before /chat/completions, most often in /v1: correct it; or name another path by probe_path",
        )
    if provider.listed is None:
        return unknown(f"{provider.url} returned {provider.status}, with no list of models")
    missing = sorted(set(provider.models) - provider.listed)
    if missing and provider.has_more:
        return unknown(f"not on the first page of the list: {shown(missing)}")
    if missing:
        return broken(
            f"not listed: {shown(missing)}",
            "correct upstream_model of the routes, or drop them: the provider knows no such models, or hides them from this key",
        )
    return ok(f"all {len(provider.models)} that are routed to it are listed")


def _unset(variables: Sequence[str]) -> Verdict:
    subject = f"the variable {variables[0]} is" if len(variables) == 1 else f"the variables {', '.join(variables)} are"
    return unknown(f"{subject} not set where the doctor runs, or to no usable value; the gateway would not start there")
