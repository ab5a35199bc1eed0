"""The configured models, each with the providers that serve it in the order of failover.

Input: the configuration and the providers. Output: a lookup by public name. Nothing here
changes while the gateway runs.
"""

from collections.abc import Iterable, Mapping

import msgspec

from app.config.schema import ModelConfig, RouteConfig
from app.errors import InvalidRequestError, UnknownModelError
from app.gateway.openai.request import Operation
from app.gateway.ports import Target
from app.gateway.price_catalogue import CataloguePrice
from app.gateway.pricing import Price, price_of
from app.gateway.provider_client import Provider
from app.gateway.target_rates import rates_of
from app.gateway.unpriced_notice import UnpricedNotice


class Route(msgspec.Struct, frozen=True):
    """One provider that serves a model, under its own name for it, at its price.

    `unpriced` logs that there is none; `trusts_cost`: what the provider reports as the cost is it.
    """

    provider: Provider
    upstream_model: str
    price: Price
    unpriced: UnpricedNotice
    trusts_cost: bool = False


class Model(msgspec.Struct, frozen=True):
    """One public model."""

    name: str
    operation: str
    routes: tuple[Route, ...]
    cache_ttl_seconds: float


class ModelTable:
    """The models by name."""

    def __init__(
        self,
        models: Iterable[ModelConfig],
        providers: Mapping[str, Provider],
        catalogue: Mapping[Target, CataloguePrice] | None = None,
    ) -> None:
        self._models = {config.name: _model(config, providers, catalogue or {}) for config in models}

    @property
    def names(self) -> tuple[str, ...]:
        """The public names, in configured order."""
        return tuple(self._models)

    @property
    def operations(self) -> Mapping[str, str]:
        """What each model serves, by public name, in configured order."""
        return {name: model.operation for name, model in self._models.items()}

    @property
    def largest_response_bytes(self) -> int:
        """The largest response that any provider of a model may send."""
        routes = [route for model in self._models.values() for route in model.routes]
        return max((route.provider.config.max_response_bytes for route in routes), default=0)

    def __contains__(self, name: str) -> bool:
        return name in self._models

    def find(self, name: str, operation: Operation) -> Model:
        """Return a model; raises `UnknownModelError`, or `InvalidRequestError` for one that serves something else."""
        model = self._models.get(name)
        if model is None:
            raise UnknownModelError("The model does not exist; GET /v1/models lists those that do.", param="model")
        if model.operation != operation:
            raise InvalidRequestError(f"The model does not serve {operation}.", param="model")
        return model


def _model(config: ModelConfig, providers: Mapping[str, Provider], catalogue: Mapping[Target, CataloguePrice]) -> Model:
    routes = tuple(
        Route(
            providers[route.provider],
            route.upstream_model,
            price_of(rates_of(route, catalogue), config.credit_multiplier),
            UnpricedNotice(),
            trusts_cost=_trusts_cost(route, providers[route.provider]),
        )
        for route in config.routes
    )
    return Model(config.name, config.operation, routes, config.cache_ttl_seconds)


def _trusts_cost(route: RouteConfig, provider: Provider) -> bool:
    own = route.trust_reported_cost
    return provider.config.trust_reported_cost if own is None else own
