"""The gateway domain: calls, failover, limits and prices; it knows neither Litestar nor OpenTelemetry."""
