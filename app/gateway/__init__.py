"""The gateway domain: calls, failover, limits and prices; it knows neither Litestar nor OpenTelemetry.

    request -> in_flight, rate_limit -> openai/request_reading -> call -> response_cache
            -> failover -> attempt -> exchange -> provider_client -> connector -> provider
    whole response    -> openai/completion             -> client
    streamed response -> openai/chunks -> stream_relay -> client
    end of an attempt -> openai/counted_usage -> pricing, exposure -> telemetry, app/providers
    end of a call     -> telemetry, ledger, rate_limit

`Gateway` in `gateway.py` is the way in; `ports.py` is what it needs from the outside.
"""
