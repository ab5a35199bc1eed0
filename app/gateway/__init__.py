"""The gateway domain: calls, fail-over, limits and prices; it knows neither Litestar nor OpenTelemetry."""
