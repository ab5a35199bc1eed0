"""What is allowed in a configuration and yet hardly meant."""

from app.config.schema import AppConfig


def config_warnings(config: AppConfig) -> list[str]:
    """Return one line for each; they never stop the start."""
    lines = []
    if not config.providers:
        lines.append("no providers are configured: add [[providers]] and [[models]]; gatewayz.example.toml shows how")
    elif not config.models:
        lines.append("no models are configured, so no request can be served: add [[models]] with routes to a provider")
    used = {route.provider for model in config.models for route in model.routes}
    unused = [provider.name for provider in config.providers if provider.name not in used]
    if config.models and unused:
        lines.append(f"no model has a route to {', '.join(map(repr, unused))}")
    return lines
